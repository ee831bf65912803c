// Command oncall is redial with a flow of its own: it rings the people on call until somebody takes an alarm.
package main

import (
	"redial/app"
	"redial/workflows"
)

// Alarm is the flow, by the name under which it is called: redial call --flow Alarm.
var Alarm = workflows.Define("Alarm", RaiseAlarm)

func main() { app.Main(Alarm) }
