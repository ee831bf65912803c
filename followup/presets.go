package followup

import (
	"fmt"
	"slices"
	"time"

	"github.com/rickar/cal/v2"
	"github.com/rickar/cal/v2/au"
	"github.com/rickar/cal/v2/fr"
	"github.com/rickar/cal/v2/us"
)

// PresetsVersion dates the presets' data. It is part of the evidence that each dial leaves.
const PresetsVersion = "2026-11-21"

// Preset is a set of calling rules of a jurisdiction, as data. It is a starting point and no legal advice: every one of them is to be
// verified with counsel, and several rest on secondary sources, as their Source says.
type Preset struct {
	Name     string             `json:"name"`
	Title    string             `json:"title"`
	Days     map[string][]Hours `json:"days,omitempty"`     // by the recipient's clock; days that are not named are closed; none: no hours
	Holidays string             `json:"holidays,omitempty"` // whose public holidays are closed, too: us, fr, au; empty: none
	Limits   []Limit            `json:"limits,omitempty"`
	Quiet    []Quiet            `json:"quiet,omitempty"`
	Consent  bool               `json:"consent"` // a call needs the recipient's consent as an input
	Source   string             `json:"source"`  // the rule, and how it was checked
}

// Rule is the preset as the rule behind a wait.
func (p Preset) Rule() string { return fmt.Sprintf("preset %s of %s", p.Name, PresetsVersion) }

func (p Preset) schedule() Schedule {
	s, err := Window{Days: p.Days}.schedule()
	if err != nil {
		panic("preset " + p.Name + ": " + err.Error()) // a test reads all of them
	}
	if p.Holidays != "" {
		s.Closed = publicHolidays[p.Holidays]
	}
	return s
}

// national are the holidays that every state of Australia has.
var national = []*cal.Holiday{au.NewYear, au.AustraliaDay, au.GoodFriday, au.EasterMonday, au.AnzacDay, au.ChristmasDay, au.BoxingDay}

// publicHolidays tell whether a day is one, or is observed as one.
var publicHolidays = map[string]func(Date) bool{"us": holidays(us.Holidays), "fr": holidays(fr.Holidays), "au": holidays(national)}

func holidays(all []*cal.Holiday) func(Date) bool {
	calendar := &cal.Calendar{} // its cache is a map without a lock
	calendar.AddHoliday(all...)
	return func(d Date) bool {
		actual, observed, _ := calendar.IsHoliday(time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, time.UTC))
		return actual || observed
	}
}

// FindPreset finds a preset by its name.
func FindPreset(name string) (Preset, bool) {
	i := slices.IndexFunc(presets, func(p Preset) bool { return p.Name == name })
	if i < 0 {
		return Preset{}, false
	}
	return presets[i], true
}

// Presets are all presets.
func Presets() []Preset { return slices.Clone(presets) }

// PresetNames are the names of all presets.
func PresetNames() []string {
	var names []string
	for _, p := range presets {
		names = append(names, p.Name)
	}
	return names
}

const secondary = "secondary tables (clickpointsoftware.com of July 2025, dropcowboy.com of November 2025); the statute was not read"

func hours(from, to Minute) []Hours { return []Hours{{from * 60, to * 60}} }

func daily(from, to Minute) map[string][]Hours { return map[string][]Hours{"mon-sun": hours(from, to)} }

var presets = []Preset{
	{Name: "us-federal", Title: "United States, TCPA and TSR: solicitation, 8 to 21", Days: daily(8, 21), Consent: true,
		Source: "47 CFR 64.1200(c)(1) and 16 CFR 310.4, read in copies; consent because an AI-generated voice is an artificial one (FCC 24-17, 8 February 2024)"},
	{Name: "us-reg-f", Title: "United States, Regulation F: debt collection", Days: daily(8, 21),
		Limits: []Limit{{Calls: 7, Per: Span{For: Duration(7 * day)}, By: BySubject}},
		Quiet:  []Quiet{{After: EventConversation, For: Duration(7 * day), By: BySubject}},
		Source: "12 CFR 1006.14 and 1006.6; the numbers by natlawreview.com and legalclarity.org"},
	{Name: "us-florida", Title: "Florida: solicitation, 8 to 20, three calls in 24 hours on a subject", Days: daily(8, 20),
		Limits: []Limit{{Calls: 3, Per: Span{For: Duration(day)}, By: BySubject}}, Source: "Fla. Stat. 501.616(6), by " + secondary},
	{Name: "us-oklahoma", Title: "Oklahoma: solicitation, 8 to 20, three calls in 24 hours on a subject", Days: daily(8, 20),
		Limits: []Limit{{Calls: 3, Per: Span{For: Duration(day)}, By: BySubject}}, Source: "Okla. Stat. 15 §775C.4, by " + secondary},
	{Name: "us-alabama", Title: "Alabama: 8 to 20, no Sunday, no holiday", Days: map[string][]Hours{"mon-sat": hours(8, 20)}, Holidays: "us", Source: secondary},
	{Name: "us-louisiana", Title: "Louisiana: 8 to 20, no Sunday, no holiday", Days: map[string][]Hours{"mon-sat": hours(8, 20)}, Holidays: "us", Source: secondary},
	{Name: "us-mississippi", Title: "Mississippi: 8 to 20, no Sunday", Days: map[string][]Hours{"mon-sat": hours(8, 20)}, Source: secondary},
	{Name: "us-maryland", Title: "Maryland: 8 to 20", Days: daily(8, 20), Source: secondary},
	{Name: "us-massachusetts", Title: "Massachusetts: 8 to 20", Days: daily(8, 20), Source: secondary},
	{Name: "us-connecticut", Title: "Connecticut: 9 to 20", Days: daily(9, 20), Source: secondary},
	{Name: "us-kentucky", Title: "Kentucky: 10 to 21", Days: daily(10, 21), Source: secondary},
	{Name: "us-michigan", Title: "Michigan: 9 to 21", Days: daily(9, 21), Source: secondary},
	{Name: "us-minnesota", Title: "Minnesota: 9 to 21", Days: daily(9, 21), Source: secondary},
	{Name: "us-new-mexico", Title: "New Mexico: 9 to 21", Days: daily(9, 21), Source: secondary},
	{Name: "us-nevada", Title: "Nevada: 9 to 20", Days: daily(9, 20), Source: secondary},
	{Name: "us-rhode-island", Title: "Rhode Island: 9 to 18", Days: daily(9, 18), Source: secondary},
	{Name: "canada", Title: "Canada: telemarketing, 9 to 21:30, weekends 10 to 18", Consent: true,
		Days:   map[string][]Hours{"mon-fri": {{9 * 60, 21*60 + 30}}, "sat,sun": hours(10, 18)},
		Source: "CRTC Unsolicited Telecommunications Rules, the hours by secondary sources; consent for a synthesised voice (CRTC 2014-155)"},
	{Name: "france", Title: "France: 10 to 13 and 14 to 20 on workdays, four calls in 30 days, 60 days' peace after a refusal", Consent: true,
		Days: map[string][]Hours{"mon-fri": {{10 * 60, 13 * 60}, {14 * 60, 20 * 60}}}, Holidays: "fr",
		Limits: []Limit{{Calls: 4, Per: Span{For: Duration(30 * day)}, By: ByContact}},
		Quiet:  []Quiet{{After: EventRefusal, For: Duration(60 * day), By: ByContact}},
		Source: "Décret 2022-1313, read in reports; consent since 11 August 2026 (loi 2025-594)"},
	{Name: "india", Title: "India: commercial communication, 9 to 21", Days: daily(9, 21),
		Source: "TRAI's rules as reported by indianexpress.com and business-standard.com; registries and number series are not covered"},
	{Name: "australia", Title: "Australia: telemarketing, 9 to 20, Saturdays to 17, no Sunday, no national holiday", Holidays: "au",
		Days: map[string][]Hours{"mon-fri": hours(9, 20), "sat": hours(9, 17)}, Source: "industry standard as on donotcall.gov.au"},
}
