package callflowtest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/callflowtest"
	"redial/workflows"
)

// reminder calls until somebody confirms, and tells people when nobody does.
var reminder = workflows.Define("Reminder", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
	for range 3 {
		attempt, err := f.Call(ctx)
		if err != nil {
			return err
		}
		if f.Result(attempt).Kind == call.Confirmed {
			return f.Finish(ctx, call.Outcome(call.Human), "confirmed")
		}
		if err := f.Hold(ctx, workflow.Now(ctx).Add(2*time.Hour), "nobody has confirmed yet"); err != nil {
			return err
		}
	}
	return f.Escalate(ctx, "nobody has confirmed")
})

func Example() {
	t := new(testing.T) // in a test: the test's own
	kit := callflowtest.New(t, reminder)
	kit.On("+14155550100").Busy().Then().Machine(callflowtest.Beep).Then().Human(40 * time.Second).Result(call.Confirmed)
	run := kit.Call("+14155550100", nil)
	run.Outcome("human").AtMost(1, time.Hour).OneInFlightPerNumber().Ended()
	fmt.Print(run.Timeline())
	// Output:
	// redial/-/anna · from Mon 2 Mar 2026 10:00:00 UTC
	//   Mon  2 Mar  10:00:00      +00:00:00   #1  dial       +14155550100
	//               10:00:01      +00:00:01   #1  end        busy, 486 Busy Here
	//               10:00:01      +00:00:01       held       flow until 12:00:01  (Reminder: nobody has confirmed yet)
	//               12:00:01      +02:00:01   #2  dial       +14155550100
	//               12:00:09      +02:00:09   #2  answered
	//               12:00:13      +02:00:13   #2  verdict    amd_tone_detected
	//               12:00:21      +02:00:21   #2  end        machine, after 12s, the bot hung up
	//               12:00:21      +02:00:21       held       flow until 14:00:21  (Reminder: nobody has confirmed yet)
	//               14:00:21      +04:00:21   #3  dial       +14155550100
	//               14:00:29      +04:00:29   #3  answered
	//               14:00:31      +04:00:31   #3  verdict    amd_human_detected
	//               14:01:08      +04:01:08   #3  result     confirmed
	//               14:01:09      +04:01:09   #3  end        human, after 40s, the callee hung up
	//               14:01:09      +04:01:09       outcome    human  (confirmed)
}

// printed is a test whose failures are printed.
type printed struct{ testing.TB }

func (printed) Errorf(format string, args ...any) {
	fmt.Print(strings.ReplaceAll(fmt.Sprintf(format, args...), "\t", "    "))
}

// The reminder is to leave people alone for three hours after each call.
func ExampleExplore() {
	t := printed{new(testing.T)} // in a test: the test's own
	callflowtest.Explore(t, reminder, callflowtest.Search{To: "+14155550100"}, callflowtest.Ended(), callflowtest.AtMost(1, 3*time.Hour))
	// Output:
	// callflowtest.Explore: after 2 runs, 2 dials within 2h0m48s: at most 1 are allowed in 3h0m0s
	//
	//     kit.On("+14155550100").Human(40*time.Second).Then().Human(40*time.Second).Result(call.Confirmed)
	//
	// redial/-/anna · from Mon 2 Mar 2026 10:00:00 UTC
	//   Mon  2 Mar  10:00:00      +00:00:00   #1  dial       +14155550100
	//               10:00:08      +00:00:08   #1  answered
	//               10:00:10      +00:00:10   #1  verdict    amd_human_detected
	//               10:00:48      +00:00:48   #1  end        human, after 40s, the callee hung up
	//               10:00:48      +00:00:48       held       flow until 12:00:48  (Reminder: nobody has confirmed yet)
	//               12:00:48      +02:00:48   #2  dial       +14155550100
	//               12:00:56      +02:00:56   #2  answered
	//               12:00:58      +02:00:58   #2  verdict    amd_human_detected
	//               12:01:35      +02:01:35   #2  result     confirmed
	//               12:01:36      +02:01:36   #2  end        human, after 40s, the callee hung up
	//               12:01:36      +02:01:36       outcome    human  (confirmed)
}
