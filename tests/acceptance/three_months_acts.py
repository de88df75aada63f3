"""The acts of the three months, played in order on one installation; each leaves a picture of everything that was published."""

import contextlib
import io
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from assets.resources import open_workspace
from tests.acceptance.installation import Installation
from tests.acceptance.published import Tree, frame
from tests.acceptance.three_months import (
    AUGUST,
    FIRST_DAY,
    JULY,
    LATE_AUGUST,
    LATE_JULY,
    SEPTEMBER,
    Day,
    Known,
    requests,
)
from tests.acceptance.three_months_files import Story
from usage_etl.cli.main import main
from usage_etl.cli.pipeline import RunSummary, run_pipeline

DISPUTED = "1.50"


@dataclass(frozen=True)
class Outcome:
    """What a command said and how it ended."""

    code: int
    text: str


@dataclass(frozen=True)
class Act:
    """The stage after one act."""

    known: Known
    out: Tree
    """Everything that is published, mails included."""
    said: tuple[Outcome, ...] = ()
    """What the act's commands said, in order."""

    @property
    def mails(self) -> set[str]:
        """Paths of all mails so far."""
        return {path for path in self.out if path.endswith(".eml")}


class Play:
    """The installation, and what the acts do to it."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.installation = Installation(story.folder)

    def moved_to(self, folder: Path) -> "Play":
        """The same play on a copy of its folder."""
        return Play(self.story.moved_to(folder))

    def command(self, *arguments: str) -> Outcome:
        """``usage-etl`` with the installation's settings, as its entry point runs it."""
        open_workspace.cache_clear()  # every command is a process of its own, and reads its settings anew
        said = io.StringIO()
        argv = ["usage-etl", *arguments, "--config", str(self.installation.config)]
        with patch.object(sys, "argv", argv), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                main()
            except SystemExit as ended:
                return Outcome(int(ended.code or 0), said.getvalue())
        return Outcome(0, said.getvalue())

    def run(self, *, first: Day | None = None) -> RunSummary:
        """Everything, whether it succeeds or not."""
        open_workspace.cache_clear()
        return run_pipeline(self.installation.config, first=first, last=None, with_reports=True)

    def run_well(self, *, first: Day | None = None) -> None:
        """Everything; a failing job fails the test."""
        summary = self.run(first=first)
        assert summary.succeeded, [outcome.failures for outcome in summary.outcomes]

    def picture(self, *said: Outcome) -> Act:
        """The stage now."""
        return Act(self.story.known, self.installation.tree("out"), said)

    def july_runs(self) -> Act:
        """20 July: some days of logs and bills."""
        story = self.story
        story.settings(Day(2026, 7, 20))
        story.directories()
        story.contract(has_change=False)
        story.logs("2026-07-20", requests(FIRST_DAY, Day(2026, 7, 20)))
        story.bills("2026-07-20", FIRST_DAY, Day(2026, 7, 20))
        self.run_well()
        return self.picture()

    def july_is_over(self) -> Act:
        """5 August: July is complete, no invoice has come."""
        story = self.story
        story.settings(Day(2026, 8, 5))
        story.logs("2026-08-05", requests(Day(2026, 7, 21), Day(2026, 8, 5)))
        story.bills("2026-08-05", Day(2026, 7, 18), Day(2026, 8, 5))
        story.desk_bill(JULY)
        self.run_well()
        return self.picture()

    def july_is_not_closed_without_invoices(self) -> Act:
        """Finance tries too early."""
        return self.picture(self.command("close", JULY))

    def july_closes(self) -> Act:
        """The invoices come: OpenAI's is the bill, Anthropic's is a cent more."""
        self.story.invoice("openai", JULY, "21.79")
        self.story.invoice("anthropic", JULY, "6.05")
        self.run_well()
        said = self.command("close", JULY)
        return self.picture(said)

    def august_is_refused(self) -> Act:
        """5 September: August is complete. A late log, a restated bill of July, and no invoice that says so."""
        story = self.story
        disputed = frame(self.installation.tree("out"), JULY).filter(provider_name="openai", team_id="support")
        story.learn(has_late_july=True, moved=True, credit=True)
        story.settings(Day(2026, 9, 5))
        story.directories()
        story.contract(has_change=True)
        story.logs("2026-09-05", requests(Day(2026, 8, 6), Day(2026, 9, 5)))
        story.logs("2026-09-05_late_july", LATE_JULY)
        story.bills("2026-09-05", Day(2026, 8, 3), Day(2026, 9, 5))
        story.bills("2026-09-05_restated_july", Day(2026, 7, 20), Day(2026, 7, 21))
        story.desk_bill(AUGUST)
        story.dispute(disputed["line_id"].item(), DISPUTED, reason="our pilot ran for platform", takes_over="platform")
        summary = self.run()
        failures = "\n".join(text for outcome in summary.outcomes for text in outcome.failures)
        return self.picture(Outcome(0 if summary.succeeded else 1, failures))

    def august_is_over(self) -> Act:
        """The further invoice for July comes, and August's own: Anthropic's is a credit note."""
        self.story.invoice("openai", JULY, "3.00")
        self.story.invoice("openai", AUGUST, "23.89")
        self.story.invoice("anthropic", AUGUST, "-11.17")
        self.run_well()
        return self.picture()

    def august_closes(self) -> Act:
        """August is closed with July's corrections in it."""
        return self.picture(self.command("close", AUGUST))

    def september_is_over(self) -> Act:
        """5 October: September is complete; a late log and a restated bill of August come, with their invoice."""
        story = self.story
        story.learn(has_late_august=True)
        story.settings(Day(2026, 10, 5))
        story.logs("2026-10-05", requests(Day(2026, 9, 6), Day(2026, 10, 5)))
        story.logs("2026-10-05_late_august", LATE_AUGUST)
        story.bills("2026-10-05", Day(2026, 9, 3), Day(2026, 10, 5))
        story.bills("2026-10-05_restated_august", Day(2026, 8, 25), Day(2026, 8, 25))
        story.desk_bill(SEPTEMBER)
        story.invoice("openai", AUGUST, "5.00")
        story.invoice("openai", SEPTEMBER, "18.70")
        story.invoice("anthropic", SEPTEMBER, "7.85")
        self.run_well()
        return self.picture()

    def august_closes_again(self) -> Act:
        """The auditors want August's late usage in August: OpenAI's August is reopened and closed again."""
        reopened = self.command("reopen", AUGUST, "--provider", "openai", "--reason", "auditors want it in August")
        closed = self.command("close", AUGUST)
        return self.picture(reopened, closed)

    def september_closes(self) -> Act:
        """The quarter is done."""
        return self.picture(self.command("close", SEPTEMBER))


ACTS: Mapping[str, Callable[[Play], Act]] = {
    "july open": Play.july_runs,
    "july over": Play.july_is_over,
    "july held": Play.july_is_not_closed_without_invoices,
    "july closed": Play.july_closes,
    "august refused": Play.august_is_refused,
    "august over": Play.august_is_over,
    "august closed": Play.august_closes,
    "september over": Play.september_is_over,
    "august closed again": Play.august_closes_again,
    "september closed": Play.september_closes,
}
"""The acts in order."""


class Stage:
    """Plays each act once, when a test first asks for it or for a later one."""

    def __init__(self, folder: Path) -> None:
        self.play = Play(Story(folder, Known(Day(2026, 7, 15))))
        self._played: dict[str, Act] = {}
        self._broken: BaseException | None = None

    def after(self, name: str) -> Act:
        """The stage after an act. Once an act has failed, it and all later ones fail."""
        for act, perform in ACTS.items():
            if act not in self._played:
                self._perform(act, perform)
            if act == name:
                break
        return self._played[name]

    def around(self, name: str) -> tuple[Act, Act]:
        """The stage before an act, and after it."""
        order = list(ACTS)
        after = self.after(name)
        return self._played[order[order.index(name) - 1]], after

    def copy(self, folder: Path) -> Play:
        """The installation as it is, in a folder of its own."""
        shutil.copytree(self.play.story.folder, folder)
        return self.play.moved_to(folder)

    def _perform(self, name: str, perform: Callable[[Play], Act]) -> None:
        if self._broken is not None:
            raise AssertionError(f"not played: {name}; an earlier act failed") from self._broken
        try:
            self._played[name] = perform(self.play)
        except BaseException as error:
            self._broken = error
            raise
