package app

// demoContact is one person of the demo, and what the simulated gateway makes of each dial.
type demoContact struct {
	id, number, script string
	says               string // what it shows
}

// demoContacts cover every disposition, and what goes wrong on a wire. The numbers are of ranges kept for fiction
// (United States 555-01xx, United Kingdom 01632 960xxx).
var demoContacts = []demoContact{
	{"alma", "+12025550101", "human+talk=40s", "answers at once"},
	{"bruno", "+12025550102", "human+talk=20s+ended_by=bot", "answers; the bot hangs up"},
	{"carla", "+12025550103", "busy,human", "busy, then answers"},
	{"dario", "+12025550104", "machine,human+talk=30s", "a machine, then answers"},
	{"elena", "+12025550105", "machine,machine,machine", "a machine every time"},
	{"fabio", "+12025550106", "tone,human", "a beep, then answers"},
	{"greta", "+12025550107", "stopped_speaking,busy,human", "a greeting, busy, then answers"},
	{"hugo", "+12025550108", "silent,human", "silence, then answers"},
	{"irene", "+12025550109", "undecided,human", "undecided, then answers"},
	{"jonas", "+12025550110", "amd_error,human", "detection broke, then answers"},
	{"karin", "+12025550111", "answered", "answers, and detection says nothing"},
	{"luca", "+12025550112", "busy,busy,busy,busy", "busy every time"},
	{"mona", "+12025550113", "no_answer,human", "rings out, then answers"},
	{"nils", "+12025550114", "no_answer", "never answers"},
	{"olga", "+12025550115", "unreachable,human", "switched off, then answers"},
	{"pavel", "+12025550116", "declined,human", "declines, then answers"},
	{"quinn", "+12025550117", "declined", "declines twice"},
	{"rosa", "+12025550118", "unwanted", "wants no such calls"},
	{"simon", "+12025550119", "blocked", "the carrier blocks the call"},
	{"tilda", "+12025550120", "invalid_number", "the number does not exist"},
	{"udo", "+12025550121", "trunk_error,human", "the trunk refuses, then answers"},
	{"vera", "+12025550122", "network_error,network_error,human", "the network fails twice, then answers"},
	{"walid", "+12025550123", "failed,human", "fails for no known reason, then answers"},
	{"xenia", "+12025550124", "http=400", "the gateway refuses the request"},
	{"yann", "+12025550125", "http=503+retry_after=1s,human", "the gateway is over its limit, then answers"},
	{"zoe", "+12025550126", "human+lost,human", "the end of the call is never reported"},
	{"amir", "+12025550127", "human+lost_answer", "the answer to the dial request is lost"},
	{"bela", "+12025550128", "reset_before,human", "the line to the gateway breaks before the call"},
	{"chloe", "+12025550129", "busy+early,human", "the report overtakes the answer to the dial"},
	{"dmitri", "+12025550130", "human+duplicate", "everything is reported twice"},
	{"emma", "+12025550131", "machine+late_verdict=1s+gen2,human", "the verdict travels behind the end"},
	{"farid", "+12025550132", "human+contradict", "a second report contradicts the first"},
}
