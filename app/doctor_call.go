package app

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"redial/call"
	"redial/followup"
	"redial/ledger"
	"redial/phone"
	"redial/starter"
	"redial/workflows"
)

// doctorCampaign is what the doctor's calls belong to, so that they are found in the Temporal UI.
const doctorCampaign = "doctor"

// placeCall places one real call, and says what came back.
func (d *doctor) placeCall(ctx context.Context, text string) error {
	to, err := phone.Parse(text, "")
	if err != nil {
		return usagef("--call: %w", err)
	}
	if err := d.cfg.AllowTo.Check(to); err != nil {
		return err
	}
	temporal, err := connectQuietly(ctx)
	if err != nil {
		return err
	}
	defer temporal.Close()
	s := starter.Starter{Client: temporal, IDKey: d.cfg.IDKey()}
	started, err := s.Call(ctx, workflows.NameOutboundCall, workflows.Input{Campaign: doctorCampaign, To: to, Policy: oneAttempt()})
	if err != nil {
		return err
	}
	if !d.quiet {
		fmt.Fprintf(d.out, "\ncalling %s: answer, say hello, and hang up…\n", to)
	}
	r, err := s.Result(ctx, started)
	if err != nil {
		return err
	}
	l, err := openExisting(ctx, d.cfg)
	if err != nil {
		return err
	}
	defer l.Close()
	contact, err := l.Show(ctx, r.WorkflowID)
	if err != nil {
		return err
	}
	d.diagnose(r, contact)
	return nil
}

// oneAttempt is the default way of dialing, without anything that follows, and with a call that ends within minutes.
func oneAttempt() followup.Policy {
	p := followup.Policy{Name: doctorCampaign, Attempts: 1, On: map[call.Disposition]followup.Rule{}}
	p.Dial.MaxCall = followup.Duration(3 * time.Minute)
	for _, disposition := range call.Dispositions() {
		p.On[disposition] = followup.Rule{Do: followup.VerbStop}
	}
	return p.WithDefaults()
}

// diagnose says what the gateway made of the call.
func (d *doctor) diagnose(r call.Result, c ledger.Contact) {
	if len(r.Attempts) == 0 {
		d.say("call", sick, "nothing was dialed: %s", r.Reason)
		return
	}
	a := r.Attempts[0]
	switch a.Disposition {
	case call.NotPlaced:
		d.say("call", sick, "the gateway took no call: %s", a.Error)
		return
	case call.Unknown:
		d.say("call", sick, "nothing was heard of the call's end: %s; check that the gateway reaches REDIAL_NOTIFY_URL, and that the call was made", a.Error)
	default:
		d.say("call", healthy, "%s after %s: %s", a.Disposition, a.EndedAt.Sub(a.DialedAt).Round(100*time.Millisecond), describeAttempt(a))
	}
	if a.SID == "" && a.CallID == "" {
		d.say("ids", doubt, "the gateway named neither sid nor callId")
	}
	d.diagnoseNotifications(a, c.Notifications)
}

func (d *doctor) diagnoseNotifications(a call.Attempt, heard []ledger.Notification) {
	if len(heard) == 0 {
		return
	}
	fields := map[string]bool{}
	statuses := []string{}
	for _, n := range heard {
		var body map[string]any
		if json.Unmarshal([]byte(n.Raw), &body) != nil {
			d.say("notification", doubt, "one could not be read: %s", n.Note)
			continue
		}
		for name, value := range body {
			fields[name] = true
			if strings.EqualFold(name, "status") {
				statuses = append(statuses, fmt.Sprint(value))
			}
		}
	}
	d.say("generation", healthy, "%s: %s", generation(statuses, fields), strings.Join(statuses, ", "))
	d.say("fields", healthy, "%s", strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
	d.say("first word", healthy, "%s after the dial", heard[0].At.Sub(a.DialedAt).Round(time.Millisecond))
	if a.Status == call.StatusCompleted && !a.AMD.IsVerdict() {
		d.say("detection", doubt, "no verdict on who answered (%q): check that the account has speech-to-text credentials for the call's language", a.AMD)
	}
}

// generation tells the gateway's two generations apart: the second reports in mid-call, and spells its fields in camel
// case.
func generation(statuses []string, fields map[string]bool) string {
	if len(statuses) > 1 || fields["machineDetection"] || fields["callDuration"] || fields["sessionId"] {
		return "second generation (2025)"
	}
	return "first generation (2023), the end of a call only"
}
