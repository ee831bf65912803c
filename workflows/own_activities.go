package workflows

import (
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"redial/activities"
)

// ownActivity is an activity that a flow brings along.
type ownActivity struct {
	name string
	fn   any
}

// WithActivities is the flow with activities of its own, for Flow.Do: functions, or methods of a value, that take a
// context.Context and what they are asked, and return an error, or what they have found out and an error. A worker hosts them
// beside the flow, under their Go names, which are part of every history and must not change. It panics when one is no such
// function, or has no name of its own.
func (d Definition) WithActivities(own ...any) Definition {
	d.activities = slices.Clone(d.activities)
	for _, fn := range own {
		name, err := activityName(fn)
		if err != nil {
			panic(fmt.Sprintf("workflows: activity of flow %s: %v", d.name, err))
		}
		d.activities = append(d.activities, ownActivity{name, fn})
	}
	return d
}

// ActivitiesOf are the activities that flows bring along, by the names under which to register them. Several flows may bring the
// same function. Otherwise one name for two is an error, and so is a name of the handle's own: all flows of a binary share a task
// queue. Of a method nobody can tell whether it is called on the same value, so one flow brings it for all.
func ActivitiesOf(flows ...Definition) (map[string]any, error) {
	all, owner := map[string]any{}, map[string]string{activities.NameDialout: "Redial"}
	for name := range (&activities.Activities{}).Light() {
		owner[name] = "Redial"
	}
	for _, f := range flows {
		for _, a := range f.activities {
			if owner[a.name] != "" && !sameFunction(all[a.name], a.fn) {
				return nil, fmt.Errorf("flow %s brings an activity %s, and %s has one: rename it, or give it to one flow only, from which "+
					"all flows of the binary have it", f.name, a.name, owner[a.name])
			}
			all[a.name], owner[a.name] = a.fn, "flow "+f.name
		}
	}
	return all, nil
}

// sameFunction tells whether two activities are one function, and no method of a value.
func sameFunction(a, b any) bool {
	return a != nil && goName(a) == goName(b) && !strings.HasSuffix(goName(a), ofValue)
}

// ofValue is how the compiler marks a method with the value that it is called on.
const ofValue = "-fm"

func goName(fn any) string { return runtime.FuncForPC(reflect.ValueOf(fn).Pointer()).Name() }

var (
	identifier      = regexp.MustCompile(`^[A-Za-z_]\w*$`)
	functionLiteral = regexp.MustCompile(`^func\d+$`)
)

// activityName is the name under which Temporal's SDK finds a function that a flow hands to Flow.Do.
func activityName(fn any) (string, error) {
	kind := reflect.TypeOf(fn)
	if kind == nil || kind.Kind() != reflect.Func {
		return "", fmt.Errorf("%v is no function", kind)
	}
	full := goName(fn)
	name := strings.TrimSuffix(full[strings.LastIndex(full, ".")+1:], ofValue)
	if !identifier.MatchString(name) || functionLiteral.MatchString(name) {
		return "", fmt.Errorf("a %v without a name: declare it as a function or a method", kind)
	}
	if out := kind.NumOut(); out < 1 || out > 2 || kind.Out(out-1) != reflect.TypeFor[error]() {
		return "", fmt.Errorf("%s is a %v: return an error, or a value and an error", name, kind)
	}
	return name, nil
}
