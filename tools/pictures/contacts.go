package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// campaign is what all contacts of the pictures belong to.
const campaign = "spring"

// contact is an order that somebody is called about.
type contact struct {
	id, number string // the number is of a range kept for fiction
	script     string // what the simulated gateway makes of its dials
	policy     string
	stands     string // where it comes to stand by itself
}

const (
	oneRetry = "on: {busy: {retry: [4h]}, no_answer: {retry: [2h]}, machine: {retry: [27h]}}"

	// subject has a story, in which the front desk has a part; updated is paused from the UI.
	subject = "order-1050"
	updated = "order-1042"
)

// contacts are called at once; their order is that of the UI's list, from below.
func contacts(now time.Time) []contact {
	closed := fmt.Sprintf(`window: {timezone: UTC, days: {mon-sun: ["09:00-20:00"]}, holidays: [%s]}`, now.UTC().Format(time.DateOnly))
	return []contact{
		{"order-1041", "+14155550101", "human", oneRetry, "done human human"},
		{updated, "+14155550102", "busy", oneRetry, "waiting retry busy"},
		{"order-1043", "+14155550103", "machine", oneRetry, "waiting retry machine"},
		{"order-1044", "+14155550104", "human", closed, "held window"},
		{"order-1045", "+14155550105", "busy", "limits: [{calls: 1, per: 24h}], on: {busy: {retry: [10ms]}}", "held limit busy"},
		{"order-1046", "+14155550106", "human+never_ends", oneRetry, "calling in_call"},
		{"order-1047", "+14155550107", "no_answer", oneRetry, "waiting retry no_answer"},
		{"order-1048", "+14155550108", "busy", oneRetry, "waiting retry busy"},
		{"order-1049", "+14155550109", "busy", oneRetry, "waiting retry busy"},
		{subject, "+14155550110", "busy,no_answer,machine", "on: {busy: {retry: [1h]}, no_answer: {retry: [3s]}, machine: {retry: [4h]}}", "waiting retry busy"},
		{"order-1051", "+14155550111", "blocked", "on: {blocked: escalate}", "done escalated blocked"},
		{"order-1052", "+14155550112", "busy", oneRetry, "waiting retry busy"},
		{"order-1053", "+14155550113", "busy", "on: {busy: {retry: [10ms]}}", "done exhausted busy"},
	}
}

// latecomers are called when the others stand: each wants what one of them holds.
var latecomers = []contact{
	{"order-1054", "+14155550106", "human", oneRetry, "held number_in_call"},
}

// steering is what operators ask then, and where the contact stands when it is done.
var steering = []struct {
	command, id string
	flags       []string
	stands      string
}{
	{"pause", subject, []string{"--reason", "a complaint is looked into"}, "paused paused busy"},
	{"pause", "order-1048", []string{"--reason", "a complaint is looked into"}, "paused paused busy"},
	{"pause", "order-1049", []string{"--reason", "away until December"}, "paused paused busy"},
	{"reschedule", "order-1047", []string{"--at", "26h", "--reason", "asked for tomorrow"}, "waiting rescheduled no_answer"},
	{"opt-out", "order-1052", []string{"--reason", "said so in the shop"}, "done opted_out busy"},
	{"resume", subject, []string{"--reason", "settled"}, "waiting retry busy"},
	{"call-now", subject, []string{"--reason", "waits at the phone"}, "waiting retry machine"},
}

// populate brings contacts into every state.
func (p *product) populate(ctx context.Context) error {
	for _, round := range [][]contact{contacts(time.Now()), latecomers} {
		wanted := map[string]string{}
		for _, c := range round {
			wanted[c.id] = c.stands
			if err := p.call(ctx, c); err != nil {
				return err
			}
		}
		if err := p.await(ctx, wanted); err != nil {
			return err
		}
	}
	for _, s := range steering {
		args := append([]string{s.command, workflowID(s.id), "--by", "the front desk"}, s.flags...)
		if _, err := p.redial(ctx, args...); err != nil {
			return err
		}
		if err := p.await(ctx, map[string]string{s.id: s.stands}); err != nil {
			return err
		}
	}
	return nil
}

// workflowID is a contact's, by its own.
func workflowID(id string) string { return "redial/" + campaign + "/" + id }

func (p *product) call(ctx context.Context, c contact) error {
	policy := filepath.Join(p.folder, c.id+".yaml")
	if err := os.WriteFile(policy, []byte("{name: "+campaign+", "+c.policy+"}"), 0o600); err != nil {
		return err
	}
	_, err := p.redial(ctx, "call", "--to", c.number, "--id", c.id, "--campaign", campaign, "--policy", policy, "--metadata", "simulate="+c.script)
	return err
}
