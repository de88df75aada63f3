"""Short prompts and answers that stand in the demo's logs. Invented; they name no real person or company."""

from __future__ import annotations

PROMPTS = (
    "Summarise ticket 48213: VPN drops every ten minutes since the firmware update.",
    "Suggest a reply to the customer; she asks when the backup of 3 November can be restored.",
    "Why did the nightly sync take four hours? Log window attached.",
    "Extract supplier, invoice number, lines and tax from the attached pages.",
    "Rewrite this function so that it no longer holds the lock while it calls the API.",
    "Explain line 14 of invoice NW-20418 in two sentences for the customer.",
    "Classify: phishing, spam or harmless? Headers and body follow.",
    "Which devices of the fleet miss the October patches, and which may restart tonight?",
    "Recap the call: decisions, open questions, who does what by when.",
    "Draft a proposal for 120 seats with the new service levels.",
    "Compare the two root cause reports and say where they contradict each other.",
    "Write a PowerShell script that lists local administrators on all servers.",
    "Der Drucker im dritten Stock meldet „Papierstau“, obwohl keiner da ist. Was tun?",
    "Score these leads from 0 to 100; explain the three highest.",
    "What changed in the sign-in pattern of this account since Monday?",
    "Add tests for the date parser: leap years, time zones, empty input.",
)

ANSWERS = (
    "The tunnel renegotiates after 600 s; set the lifetime to 3600 s on both ends, then watch for a day.",
    "The restore can start today at 18:00 and will take about two hours.",
    "Between 01:12 and 03:40 the job waited for a lock held by the index rebuild.",
    '{"supplier":"Contoso Paper","number":"CP-9921","total":"1284.50"}',
    "Done: the lock now covers the queue only; the call is outside. All tests pass.",
    "Line 14 is the yearly licence of the second firewall, billed in advance.",
    "Phishing: the reply-to domain was registered yesterday and the link hides its target.",
    "17 devices miss KB5066; 11 of them are in the maintenance window tonight.",
    "Decided: migrate on Friday. Open: who signs off the firewall change.",
    "Dear Ms Larsen, thank you for the good talk on Tuesday. We propose three steps.",
    "Both name the expired certificate; only the second explains the retries.",
    "Get-LocalGroupMember -Group Administrators, run by Invoke-Command over the server list.",
    "Bitte Fach 2 öffnen und den Sensor hinter der Klappe reinigen.",
    "Highest: 91 (asked for a quote twice), 88 (40 seats, renewal in May), 84 (new IT lead).",
    "Sign-ins moved from one city to three within an hour; two came from hosting providers.",
    "Added 23 cases; two found a bug with 29 February in non-leap years.",
)
