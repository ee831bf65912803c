package followup

import (
	"time"

	"redial/call"
)

// DefaultRules is what follows a disposition that a policy says nothing about. The delays anchor on what dialers
// publish: busy lines free up within the hour (VICIdial recycles after 30 minutes, Exotel advises 30 to 60), a machine
// or no answer is worth another part of the day rather than another minute (Gail: 2 to 4 hours, then a day), faults of
// the network pass quickly or not at all. Retries used up end in an escalation: a contact is never dropped in silence.
func DefaultRules() map[call.Disposition]Rule {
	m, h := time.Minute, time.Hour
	return map[call.Disposition]Rule{
		call.Human:         {Do: VerbDone},
		call.Answered:      {Do: VerbDone},
		call.Machine:       retry(VerbEscalate, 4*h, 27*h, 31*h),
		call.Silent:        retry(VerbEscalate, 1*h, 27*h, 31*h),
		call.Undecided:     retry(VerbEscalate, 4*h, 27*h),
		call.AMDFailed:     retry(VerbEscalate, 1*h),
		call.Busy:          retry(VerbEscalate, 20*m, 40*m, 4*h),
		call.NoAnswer:      retry(VerbEscalate, 3*h, 27*h, 31*h),
		call.Unreachable:   retry(VerbEscalate, 2*h, 27*h, 31*h),
		call.Declined:      retry(VerbEscalate, 27*h),
		call.Unwanted:      {Do: VerbSuppress},
		call.Blocked:       {Do: VerbEscalate},
		call.InvalidNumber: {Do: VerbNextNumber},
		call.TrunkError:    retry(VerbEscalate, 15*m, 1*h, 4*h),
		call.NetworkError:  retry(VerbEscalate, 1*m, 5*m, 15*m, 2*h),
		call.Failed:        retry(VerbEscalate, 4*h),
		call.NotPlaced:     retry(VerbEscalate, 2*m, 10*m, 1*h),
		call.Unknown:       {Retry: []Delay{{NextWindow: true}}, Then: VerbEscalate},
	}
}

func retry(then Verb, after ...time.Duration) Rule {
	r := Rule{Then: then}
	for _, d := range after {
		r.Retry = append(r.Retry, Delay{After: Duration(d)})
	}
	return r
}
