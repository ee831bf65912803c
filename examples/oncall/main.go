// Command oncall is redial with a flow of its own: it rings the people on call until somebody takes an alarm.
package main

import (
	"os"

	"redial/app"
	"redial/workflows"
)

// Alarm is the flow, by the name under which it is called: redial call --flow Alarm.
var Alarm = workflows.Define("Alarm", RaiseAlarm)

func main() {
	p := app.Program{Flows: []workflows.Definition{Alarm}}
	if url := os.Getenv("ALARM_CHAT_URL"); url != "" {
		p.Escalations = Chat{URL: url}
	}
	p.Main()
}
