// Command appointment is redial with a flow of its own: it reminds people of their appointments.
package main

import (
	"redial/app"
	"redial/workflows"
)

// Reminder is the flow, by the name under which it is called: redial call --flow AppointmentReminder.
var Reminder = workflows.Define("AppointmentReminder", Remind)

func main() { app.Main(Reminder) }
