package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"redial/call"
	"redial/followup"
)

// PolicyVersion is one version of a policy that is kept in the ledger under its name. Runs that follow the name go by its newest
// version: each dial and each decision looks for it.
type PolicyVersion struct {
	Name    string          `json:"name"`
	Version int             `json:"version"` // counted from 1
	Hash    string          `json:"hash"`    // the same policy has the same
	At      time.Time       `json:"at"`      // from when on it holds; given by the ledger
	By      string          `json:"by"`      // who has put it there
	Reason  string          `json:"reason"`
	Policy  followup.Policy `json:"policy"`
}

func (v PolicyVersion) String() string { return fmt.Sprintf("%s, version %d", v.Name, v.Version) }

// PolicyPut is what came of putting a policy into the ledger.
type PolicyPut struct {
	PolicyVersion
	Changed bool      `json:"changed"`                // false: it was the current version already, and nothing was done
	Woken   int       `json:"woken"`                  // open contacts that follow it, and are told
	LastAt  time.Time `json:"last_woken_at,omitzero"` // when the last of them is told
}

// bodyReplan marks a wake of a contact whose policy has changed.
const bodyReplan = "replan"

// PutPolicy makes p the current version of the policy of its name. It holds from this transaction on for every dial and every decision of
// the contacts that follow the name. Those that wait are woken one after the other, every so often, to plan anew what they wait for:
// were all of them woken at once, all of them would want to dial at once. The error is a *followup.UnzonedError where open contacts that
// follow it could not be called any more; nothing is changed then.
func (l *Ledger) PutPolicy(ctx ctx, p followup.Policy, by, reason string, every time.Duration) (put PolicyPut, err error) {
	if p.Name == "" {
		return put, fmt.Errorf("put a policy: it has no name: give it one, as in name: reminder")
	}
	p = p.WithDefaults()
	document, err := encode(p)
	if err != nil {
		return put, err
	}
	// The whole ledger: who is cleared at this moment is so under the old version and is woken, or under the new one.
	err = l.update(ctx, whole, "put policy "+p.Name, func(t *tx) error {
		current, _, err := t.policy(p.Name)
		if err != nil {
			return err
		}
		put = PolicyPut{PolicyVersion: current, Changed: t.again && current.By == by && current.Reason == reason}
		if current.Hash != p.Version() {
			if err := t.refusePut(current.Policy, p); err != nil {
				return err
			}
			put = PolicyPut{Changed: true, PolicyVersion: PolicyVersion{Name: p.Name, Version: current.Version + 1, Hash: p.Version(), At: t.now, By: by, Reason: reason, Policy: p}}
			if err := t.begin(put.PolicyVersion, document, every); err != nil {
				return err
			}
		}
		if !put.Changed {
			return nil
		}
		_, err = t.get(`SELECT COUNT(*) FROM contacts WHERE follows = ? AND closed_at = 0`, []any{put.Name}, &put.Woken)
		if put.Woken > 0 {
			put.LastAt = t.here(t.now.Add(time.Duration(put.Woken-1) * every))
		}
		return err
	})
	return put, err
}

// refusePut is why p cannot become the policy of those who follow its name; nil: it can. Whom the current version has left without a clock
// already, p makes no worse.
func (t *tx) refusePut(current, p followup.Policy) error {
	if !p.Window.NeedsZone() || current.Window.NeedsZone() {
		return nil
	}
	u, err := t.unzoned(p.Name)
	return cmp.Or(err, u.Refuse(p))
}

// mayLackZone leaves out the targets that tell of a zone by themselves: numbers, but for those of no country, whose calling codes begin with 8
// or 9. Of 100,000 contacts no request is read for nothing.
const mayLackZone = `(a.target NOT LIKE 'tel:%' OR a.target LIKE 'tel:+8%' OR a.target LIKE 'tel:+9%')`

// unzoned are the open contacts that follow a policy, and whose number no zone is known for: the number that they are called at next, as far
// as the ledger knows that, which has further numbers only when one was decided on.
func (t *tx) unzoned(policy string) (u followup.Unzoned, err error) {
	err = t.each(`SELECT c.contact_id, c.target, c.zone, COALESCE(a.target, ''),
			CASE WHEN `+mayLackZone+` AND a.request LIKE '%"zone":%' THEN a.request ELSE '' END,
			CASE WHEN a.decision LIKE '%"target":%' THEN a.decision ELSE '' END
		FROM contacts c LEFT JOIN attempts a ON a.workflow_id = c.workflow_id AND a.n = (SELECT MAX(n) FROM attempts m WHERE m.workflow_id = c.workflow_id)
		WHERE c.follows = ? AND c.closed_at = 0 ORDER BY c.workflow_id`, []any{policy}, func(scan func(...any) error) error {
		var id, dialed string
		var to call.Target
		var request call.DialRequest
		var decided recordedDecision
		if err := scan(&id, &to.URI, &to.Zone, &dialed, document{&request}, document{&decided}); err != nil {
			return err
		}
		switch {
		case decided.Decision.Target != nil:
			to = *decided.Decision.Target
		case request.To.URI != "":
			to = request.To
		case dialed != "":
			to = call.Target{URI: dialed}
		}
		u.Look(id, to)
		return nil
	})
	return u, err
}

// begin writes a version down, in place of the one before it, and wakes the first who follow it.
func (t *tx) begin(v PolicyVersion, document string, every time.Duration) error {
	if err := t.exec(`UPDATE policies SET tell_at = 0 WHERE name = ?`, v.Name); err != nil {
		return err
	}
	if err := t.exec(`INSERT INTO policies (name, version, hash, document, put_at, put_by, put_for, every, tell_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		v.Name, v.Version, v.Hash, document, micros(t.now), v.By, v.Reason, every.Microseconds(), micros(t.now)); err != nil {
		return err
	}
	return t.wakeFollowers(v.Name, v.Version, every, "")
}

// mostFollowers is how many who follow a policy are owed their wake in one transaction.
const mostFollowers = 200

// toTellFollowers is the condition of a policy that is to go on with waking those who follow it.
const toTellFollowers = `tell_at > 0 AND tell_at <= ?`

// wakeFollowers owes the next open contacts that follow a policy a wake, and notes how far that has come. The wake has a topic of its own: one
// for another reason is due at once.
func (t *tx) wakeFollowers(name string, version int, every time.Duration, after string) error {
	var n int
	var last string
	if _, err := t.get(`SELECT COUNT(*), COALESCE(MAX(workflow_id), '') FROM
			(SELECT workflow_id FROM contacts WHERE follows = ? AND closed_at = 0 AND workflow_id > ? ORDER BY workflow_id LIMIT CAST(? AS INTEGER)) AS followers`,
		[]any{name, after, mostFollowers}, &n, &last); err != nil {
		return err
	}
	next := int64(0)
	if n == mostFollowers {
		next = micros(t.now.Add(time.Duration(n) * every))
	}
	if err := t.exec(`UPDATE policies SET told_to = ?, tell_at = ? WHERE name = ? AND version = ?`, last, next, name, version); err != nil || n == 0 {
		return err
	}
	t.owed = true
	return t.exec(`INSERT INTO outbox (topic, kind, workflow_id, attempt_key, url, body, due_at)
		SELECT CAST(? AS TEXT) || c.workflow_id, CAST(? AS TEXT), c.workflow_id, '', '', CAST(? AS TEXT),
			CAST(? AS BIGINT) + (ROW_NUMBER() OVER (ORDER BY c.workflow_id) - 1) * CAST(? AS BIGINT)
		FROM contacts c WHERE c.follows = ? AND c.closed_at = 0 AND c.workflow_id > ? AND c.workflow_id <= ? `+owedAgain,
		bodyReplan+"/", kindWake, bodyReplan, micros(t.now), every.Microseconds(), name, after, last)
}

// tellFollowers goes on with waking those who follow a policy, where that is due. Of two relays that come at the same time one passes it over.
func (l *Ledger) tellFollowers(ctx ctx) error {
	return l.update(ctx, part, "wake those who follow a policy", func(t *tx) error {
		var name, after string
		var version int
		var every int64
		found, err := t.get(`SELECT name, version, told_to, every FROM policies WHERE `+toTellFollowers+` ORDER BY tell_at LIMIT 1`+t.leaveOut(),
			[]any{micros(t.now)}, &name, &version, &after, &every)
		if err != nil || !found {
			return err
		}
		return t.wakeFollowers(name, version, time.Duration(every)*time.Microsecond, after)
	})
}

// stale holds a contact that asks under another version of the policy that it follows than the newest, whatever it was told. Its flow is told
// at once then, and asks again when it has taken that up: the newest may want it called later, or not at all. It keeps its place in the queue.
func (t *tx) stale(v PolicyVersion, r followup.ClearanceRequest) (followup.Hold, error) {
	h := followup.Hold{Reason: followup.ReasonPolicy, Rule: "policy " + v.String() + " holds now", Until: t.now.Add(settleFor), Event: "its run has taken that up"}
	if err := t.owe(delivery{kind: kindWake, workflowID: r.WorkflowID, body: bodyReplan, due: t.now}); err != nil {
		return h, err
	}
	if err := t.waitFor(r.WorkflowID, h); err != nil {
		return h, err
	}
	return h, t.decide(decision{workflowID: r.WorkflowID, attemptKey: r.Key, kind: "held", reason: string(h.Reason), rule: h.Rule, until: h.Until})
}

// policyColumns are the columns of a PolicyVersion, of the table policies as p.
const policyColumns = `p.name, p.version, p.hash, p.put_at, p.put_by, p.put_for, p.document`

func (v *PolicyVersion) scan(scan func(...any) error, more ...any) error {
	var at int64
	err := scan(append([]any{&v.Name, &v.Version, &v.Hash, &at, &v.By, &v.Reason, document{&v.Policy}}, more...)...)
	v.At = moment(at)
	return err
}

// policy is the current version of a policy; false when there is none of this name.
func (t *tx) policy(name string) (v PolicyVersion, found bool, err error) {
	err = t.each(`SELECT `+policyColumns+` FROM policies p WHERE p.name = ? ORDER BY p.version DESC LIMIT 1`, []any{name}, func(scan func(...any) error) error {
		found = true
		return v.scan(scan)
	})
	return v, found, err
}

// Policy is the current version of a policy. The error is an *followup.UnknownPolicyError where there is none.
func (l *Ledger) Policy(ctx ctx, name string) (v PolicyVersion, err error) {
	err = l.view(ctx, "look for policy "+name, func(t *tx) error {
		var found bool
		if v, found, err = t.policy(name); err == nil && !found {
			err = &followup.UnknownPolicyError{Name: name}
		}
		return err
	})
	return v, err
}

// PolicyVersions are all versions of a policy, the newest first. The error is an *followup.UnknownPolicyError where there is none.
func (l *Ledger) PolicyVersions(ctx ctx, name string) (list []PolicyVersion, err error) {
	err = l.view(ctx, "look for policy "+name, func(t *tx) error {
		list = list[:0]
		err := t.each(`SELECT `+policyColumns+` FROM policies p WHERE p.name = ? ORDER BY p.version DESC`, []any{name}, func(scan func(...any) error) error {
			var v PolicyVersion
			err := v.scan(scan)
			list = append(list, v)
			return err
		})
		if err == nil && len(list) == 0 {
			err = &followup.UnknownPolicyError{Name: name}
		}
		return err
	})
	return list, err
}

// PolicyLine is one policy in a list: its current version, and who goes by it.
type PolicyLine struct {
	PolicyVersion
	Open   int `json:"open"`    // open contacts that follow it
	ToWake int `json:"to_wake"` // those of them that are still to be told of a change
}

// Policies are the current versions of all policies, by name.
func (l *Ledger) Policies(ctx ctx) ([]PolicyLine, error) {
	list := []PolicyLine{}
	err := l.view(ctx, "list policies", func(t *tx) error {
		return t.each(`SELECT `+policyColumns+`, (SELECT COUNT(*) FROM contacts c WHERE c.follows = p.name AND c.closed_at = 0),
				(SELECT COUNT(*) FROM contacts c WHERE c.follows = p.name AND c.closed_at = 0 AND (p.tell_at > 0 AND c.workflow_id > p.told_to
					OR EXISTS (SELECT 1 FROM outbox o WHERE o.topic = CAST(? AS TEXT) || c.workflow_id)))
			FROM policies p WHERE p.version = (SELECT MAX(version) FROM policies q WHERE q.name = p.name) ORDER BY p.name`, []any{bodyReplan + "/"},
			func(scan func(...any) error) error {
				var line PolicyLine
				err := line.scan(scan, &line.Open, &line.ToWake)
				list = append(list, line)
				return err
			})
	})
	return list, err
}

// followed is the newest version of the policy that a contact follows; false: it goes by its run's own, also when the ledger has none of the
// name.
func (t *tx) followed(c contact) (v PolicyVersion, found bool, err error) {
	if c.follows == "" {
		return v, false, nil
	}
	return t.policy(c.follows)
}

// Replan says what a contact that waits waits for under its policy as it is now: p, unless the contact follows one that the ledger keeps. What
// was decided on the attempt of the key is decided anew, as of the moment at which it was decided, and recorded; an empty key asks for the
// policy alone. Asked again it returns the same. Numbers are those that next_number goes through.
func (l *Ledger) Replan(ctx ctx, workflowID, key string, p followup.Policy, numbers ...call.Target) (plan followup.Plan, err error) {
	err = l.update(ctx, part.of(key), "replan "+workflowID, func(t *tx) error {
		plan = followup.Plan{}
		contact, attempts, err := t.story(workflowID)
		if err != nil {
			return err
		}
		p := p
		v, found, err := t.followed(contact)
		if err != nil {
			return err
		}
		if found {
			p, plan.Policy, plan.Version = v.Policy, &v.Policy, v.Version
		}
		if key == "" {
			return nil
		}
		plan.Decision, err = t.replan(workflowID, key, contact, attempts, p, numbers)
		if errors.Is(err, followup.ErrLost) { // the next dial sees to that
			plan.Decision, err = nil, nil
		}
		return err
	})
	return plan, err
}

// replan decides anew on the contact's last attempt; nil: it was not decided yet, or it has ended otherwise since.
func (t *tx) replan(workflowID, key string, c contact, attempts []call.Attempt, p followup.Policy, numbers []call.Target) (*followup.Decision, error) {
	row, err := t.known(key)
	if err != nil || row.decision.Disposition == "" || row.decision.Disposition != row.attempt.Disposition {
		return nil, err
	}
	before := row.decision.Decision
	if !c.closedAt.IsZero() {
		if before.Final() {
			return &before, nil
		}
		return nil, nil // the next dial is told that the contact has its outcome
	}
	var decided int64
	if _, err := t.get(`SELECT COALESCE(MAX(at), 0) FROM decisions WHERE attempt_key = ? AND kind = 'decided'`, []any{key}, &decided); err != nil {
		return nil, err
	}
	request, err := t.request(key)
	if err != nil {
		return nil, err
	}
	said, err := t.said(workflowID, row.attempt, p)
	if err != nil {
		return nil, err
	}
	d := p.Decide(followup.Contact{OpenedAt: c.openedAt, Target: request.To, Numbers: numbers, Attempts: upTo(attempts, row.attempt.N), Results: said}, moment(decided))
	if d.Target == nil && before.Target != nil {
		d.Target = &request.To // back from the next number
	}
	if d.Same(before) {
		if d.Action == followup.ActionRetry && d.At.After(t.now) { // it may have been paused, and waits for that again
			return &before, t.waitFor(workflowID, retryHold(before))
		}
		return &before, nil
	}
	row.decision = recordedDecision{row.attempt.Disposition, d}
	if err := t.store(&row); err != nil {
		return nil, err
	}
	if d.Action == followup.ActionRetry && !d.At.After(t.now) { // it may have its place in the queue already
		return &d, t.decide(decision{workflowID: workflowID, attemptKey: key, kind: "replanned", reason: d.Reason, rule: d.Rule, until: d.At})
	}
	return &d, t.follow(workflowID, row.attempt, d, p, "replanned")
}

// ChangePolicy lets a contact follow another policy of the ledger, which its claim names, or, where that names none, go by the one that is
// given. A contact that the ledger has not heard of is opened. The error is a *followup.UnknownPolicyError where the ledger has none of the
// name, and that of check where the policy cannot hold for the contact; nothing is changed then.
func (l *Ledger) ChangePolicy(ctx ctx, c followup.Claim, given followup.Policy, check func(followup.Policy) error) (plan followup.Plan, err error) {
	err = l.update(ctx, part, "change the policy of "+c.WorkflowID, func(t *tx) error {
		plan = followup.Plan{Policy: &given}
		if c.Follows != "" {
			v, found, err := t.policy(c.Follows)
			if err == nil && !found {
				err = &followup.UnknownPolicyError{Name: c.Follows}
			}
			if err != nil {
				return err
			}
			plan.Policy, plan.Version = &v.Policy, v.Version
		}
		if err := check(*plan.Policy); err != nil {
			return err
		}
		if _, refusal, err := t.claim(c, true); err != nil || refusal != nil {
			return err // the next attempt is told why it is refused
		}
		return t.exec(`UPDATE contacts SET follows = ? WHERE workflow_id = ?`, c.Follows, c.WorkflowID)
	})
	return plan, err
}
