"""Text to rows: typing, rules, identities, meters, units, owners' words; what every source's own mapping is made of."""
