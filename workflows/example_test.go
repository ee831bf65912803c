package workflows_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/callflowtest"
	"redial/workflows"
)

const anna, bert = "+14155550100", "+14155550101"

// Parcel is the input of the flows of the examples.
type Parcel struct {
	Number string `json:"number"`
}

// deliver calls once and does what follows from the bot's result.
func deliver(ctx workflow.Context, f *workflows.Flow, p Parcel) error {
	attempt, err := f.Call(ctx, workflows.Tell("parcel", p.Number))
	if err != nil {
		return err
	}
	answer, err := f.AwaitResult(ctx, attempt, time.Minute)
	if err != nil {
		return err
	}
	if answer.Kind == call.Confirmed {
		return f.Finish(ctx, call.Outcome(call.Human), "is at home")
	}
	return f.Escalate(ctx, "nobody takes the parcel")
}

// In earnest the definition goes to app.Main, which makes a binary of it; here to the test kit.
func ExampleDefine() {
	delivery := workflows.Define("Delivery", deliver)
	kit := callflowtest.New(new(testing.T), delivery)
	kit.On(anna).Human(30 * time.Second).Result(call.Confirmed)
	fmt.Print(kit.Call(anna, Parcel{"17"}).Timeline())
	// Output:
	// redial/-/anna · from Mon 2 Mar 2026 10:00:00 UTC
	//   Mon  2 Mar  10:00:00      +00:00:00   #1  dial       +14155550100
	//               10:00:08      +00:00:08   #1  answered
	//               10:00:10      +00:00:10   #1  verdict    amd_human_detected
	//               10:00:37      +00:00:37   #1  result     confirmed
	//               10:00:38      +00:00:38   #1  end        human, after 30s, the callee hung up
	//               10:00:38      +00:00:38       outcome    human  (is at home)
}

// Keys of the input that its type does not have are mistakes.
func ExampleDefinition_Parse() {
	delivery := workflows.Define("Delivery", deliver)
	_, err := delivery.Parse([]byte(`{"numer": "17"}`))
	fmt.Println(err)
	// Output: unknown field "numer"
}

// The policy says what follows an attempt; the flow sleeps until then.
func ExampleFlow_Conclude() {
	stubborn := workflows.Define("Stubborn", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
		for {
			attempt, err := f.Call(ctx)
			if err != nil {
				return err
			}
			next, err := f.Conclude(ctx, attempt)
			if err != nil || next.Final() {
				return err
			}
			if err := f.WaitForRetry(ctx, next); err != nil {
				return err
			}
		}
	})
	kit := callflowtest.New(new(testing.T), stubborn)
	kit.On(anna).Busy().Then().Human(20 * time.Second)
	for _, d := range kit.Call(anna, nil).Decisions() {
		if d.Kind == "decided" {
			fmt.Println(d.Rule)
		}
	}
	// Output:
	// default: on.busy.retry[0]: 20m
	// default: on.human: done
}

// One after the other until somebody confirms. With workflows.AtOnce all of them ring, and two may answer.
func ExampleFlow_CallAny() {
	anybody := workflows.Define("Anybody", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
		confirmed := func(a call.Attempt) bool { return f.Result(a).Kind == call.Confirmed }
		both := []call.Target{{URI: "tel:" + anna}, {URI: "tel:" + bert}}
		reached, err := f.CallAny(ctx, workflows.InTurn, both, confirmed)
		if err != nil {
			return err
		}
		if first, ok := reached.First(); ok {
			return f.Finish(ctx, call.Outcome(call.Human), fmt.Sprintf("attempt %d was enough", first.N))
		}
		return f.Escalate(ctx, "nobody confirms")
	})
	kit := callflowtest.New(new(testing.T), anybody)
	kit.On(anna).Machine(callflowtest.Beep)
	kit.On(bert).Human(20 * time.Second).Result(call.Confirmed)
	fmt.Println(kit.Call("", nil).Result().Reason)
	// Output: attempt 2 was enough
}

// A time of the flow's own, and a word on why.
func ExampleFlow_Hold() {
	morning := workflows.Define("Morning", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
		f.Note(ctx, "the depot opens at noon")
		if err := f.Hold(ctx, workflow.Now(ctx).Truncate(24*time.Hour).Add(12*time.Hour), "nobody could answer before noon"); err != nil {
			return err
		}
		_, err := f.Call(ctx)
		return err
	})
	kit := callflowtest.New(new(testing.T), morning)
	kit.On(anna).Human(20 * time.Second)
	run := kit.Call(anna, nil)
	fmt.Println(run.Notes(), run.Dials()[0].At.Format(time.TimeOnly))
	// Output: [the depot opens at noon] 12:00:00
}

// Depot is what activities need, such as a database.
type Depot struct{ name string }

// Where is an activity of the flow's own.
func (d *Depot) Where(_ context.Context, parcel string) (string, error) {
	return fmt.Sprintf("parcel %s is at %s", parcel, d.name), nil
}

// The flow names the method, and the binary brings the value along on which it is called.
func ExampleDefinition_WithActivities() {
	asking := workflows.Define("Asking", func(ctx workflow.Context, f *workflows.Flow, p Parcel) error {
		var where string
		if err := f.Do(ctx, (*Depot).Where, &where, p.Number); err != nil {
			return err
		}
		return f.Finish(ctx, call.OutcomeCanceled, where)
	}).WithActivities((&Depot{"gate 9"}).Where)
	kit := callflowtest.New(new(testing.T), asking)
	fmt.Println(kit.Call(anna, Parcel{"17"}).Result().Reason)
	// Output: parcel 17 is at gate 9
}

// In mid-call, when detection has heard a machine: the call itself goes on.
func ExampleOnVerdict() {
	attentive := workflows.Define("Attentive", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
		_, err := f.Call(ctx, workflows.OnVerdict(func(ctx workflow.Context, a call.Attempt) error {
			f.Note(ctx, fmt.Sprintf("%s was heard at %s", a.AMD, workflow.Now(ctx).Format(time.TimeOnly)))
			return nil
		}))
		return err
	})
	kit := callflowtest.New(new(testing.T), attentive)
	kit.On(anna).Machine(callflowtest.Beep)
	fmt.Println(kit.Call(anna, nil).Notes())
	// Output: [amd_tone_detected was heard at 10:00:12]
}
