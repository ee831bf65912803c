package main

var rehearsalBudgets = []budget{{name: "rehearsal", what: "rehearsal of 10,000 contacts over 14 days, lines, pace and caps shared under one virtual clock",
	limit: "under 20 s and 1.5 GiB", holds: under(20), why: "not built yet"}}
