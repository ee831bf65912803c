package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// kind is what a notification is about.
type kind string

const (
	kindAnswered kind = "answered"
	kindAMD      kind = "amd"
	kindTerminal kind = "terminal"
	kindResult   kind = "result" // not the gateway's but its bot's
)

// news is something that the gateway has to say of a call, in times of the gateway's clock.
type news struct {
	kind kind
	amd  string    // of kindAMD
	at   time.Time // of kindAMD
	end  ending    // of kindTerminal
}

// event names a notification in records.
func (n news) event() string {
	switch {
	case n.kind == kindAMD:
		return n.amd
	case n.kind == kindAnswered:
		return "answered"
	case n.end.answered:
		return "completed"
	default:
		return "failed"
	}
}

// facts are what the notifications of one call have in common.
type facts struct {
	conversationID string
	sessionID      string
	sid, callID    string
	target, caller string
	trunk          string
	connected      time.Time // answered, or failed
	ended          time.Time
	ring, connect  time.Duration
}

// field is one member of a JSON object.
type field struct {
	key   string
	value any
}

// payload is a JSON object whose members keep their order, because a reader should not depend on it and a comparison
// with the documented samples is easier with it.
type payload []field

func (p payload) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, f := range p {
		if i > 0 {
			out.WriteByte(',')
		}
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, fmt.Errorf("notification field %q: %w", f.key, err)
		}
		out.WriteString(strconv.Quote(f.key))
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// set changes the value of a field, if there is one.
func (p payload) set(key string, change func(any) any) payload {
	for i, f := range p {
		if f.key == key {
			p[i].value = change(f.value)
		}
	}
	return p
}

// Layouts of times in notifications. Gen1 writes month/day/year without a zone.
const (
	gen1Layout         = "1/2/2006,3:04:05PM"
	gen1LayoutDayFirst = "2/1/2006,3:04:05PM"
	gen2Layout         = "2006-01-02T15:04:05.000Z"
)

// reason is the SIP status line of an ending, and its words alone.
func (e ending) reason() (line, words string) {
	if e.answered {
		return "200 OK", "OK"
	}
	words = sipPhrase(e.sip)
	if e.noCode {
		return words, words
	}
	return fmt.Sprintf("%d %s", e.sip, words), words
}

// gen1 writes the only notification of the first generation. Fields, spelling and order are those of the documented
// samples, which have duration in completed calls only, and a connect time even in calls that never connected.
func (n news) gen1(f facts, layout string, zone *time.Location) payload {
	line, words := n.end.reason()
	connected, ended := f.connected.In(zone).Format(layout), f.ended.In(zone).Format(layout)
	var p payload
	if n.end.answered {
		p = payload{
			{"conversationId", f.conversationID},
			{"reasonCode", n.end.endedBy.reasonCode(Gen1)},
			{"status", "completed"},
			{"reason", line},
			{"duration", wholeSeconds(f)},
			{"machinedetection", n.end.amd},
			{"callconnecttime", connected},
			{"callDisconnectTime", ended},
		}
	} else {
		p = payload{
			{"conversationId", f.conversationID},
			{"status", "failed"},
			{"reason", line},
			{"machinedetection", n.end.amd},
			{"callconnecttime", connected},
			{"reasonCode", words},
			{"callDisconnectTime", ended},
		}
	}
	if n.end.amd == "" {
		return p.without("machinedetection")
	}
	return p
}

// gen2 writes a notification of the second generation, as the documented samples of 2025 have it: on mid-call events
// callConnectTime is the time of the event, and only a completed call has a session.
func (n news) gen2(f facts) payload {
	iso := func(t time.Time) string { return t.UTC().Format(gen2Layout) }
	line, words := news{end: ending{answered: true}}.end.reason()
	at, status := f.connected, "Answered"
	switch {
	case n.kind == kindAMD:
		at, status = n.at, "Call-In-Progress"
	case n.kind == kindTerminal && n.end.answered:
		words, status = n.end.endedBy.reasonCode(Gen2), "completed"
	case n.kind == kindTerminal:
		line, words = n.end.reason()
		status = "Failed"
	}
	p := payload{
		{"conversationId", f.conversationID},
		{"reason", line},
		{"reasonCode", words},
		{"callConnectTime", iso(at)},
		{"ringDurationInMS", f.ring.Milliseconds()},
		{"connectDurationInMS", f.connect.Milliseconds()},
		{"status", status},
	}
	if n.kind == kindTerminal && n.end.answered {
		p = append(p, field{"callDuration", wholeSeconds(f)})
	}
	if n.kind == kindAMD {
		p = append(p, field{"machineDetection", n.amd})
	}
	if n.kind == kindTerminal && n.end.answered && n.end.amd != "" {
		p = append(p, field{"machineDetection", n.end.amd})
	}
	if n.kind == kindTerminal && n.end.answered {
		p = append(p, field{"sessionId", f.sessionID})
	}
	if n.kind == kindTerminal {
		p = append(p, field{"callDisconnectTime", iso(f.ended)})
	}
	return p.undocumented(f)
}

// wholeSeconds is a duration as the gateway counts it: rounded down, as the documented 109.54 s show.
func wholeSeconds(f facts) int { return int(f.ended.Sub(f.connected) / time.Second) }

func (p payload) without(key string) payload {
	kept := make(payload, 0, len(p))
	for _, f := range p {
		if f.key != key {
			kept = append(kept, f)
		}
	}
	return kept
}

// documentedLength is the Content-Length in the documentation's own dump of a notification, whose printed body has a
// third of it: the rest are fields that nobody documents.
const documentedLength = 1495

// undocumented adds what the engine reports of every call under names of its own, up to the documented length.
func (p payload) undocumented(f facts) payload {
	p = append(p, field{"callData", payload{
		{"call_sid", f.sid}, {"call_id", f.callID}, {"direction", "outbound"}, {"from", f.caller}, {"to", f.target},
		{"trunk", f.trunk}, {"originator", "rest-api"}, {"fs_sip_address", "192.0.2.10:5060"}, {"api_base_url", "http://192.0.2.11/v1"},
	}})
	encoded, err := p.MarshalJSON()
	if err != nil {
		return p
	}
	const wrapping = len(`,"trace":""`)
	if missing := documentedLength - len(encoded) - wrapping; missing > 0 {
		p = append(p, field{"trace", strings.Repeat("0123456789abcdef", missing/16+1)[:missing]})
	}
	return p
}

// missingMost leaves out all that a reader can do without.
const missingMost = "most"

// lacking leaves out a field, in whatever spelling, or all but what happened.
func (p payload) lacking(name string) payload {
	kept := payload{}
	for _, f := range p {
		key := strings.ToLower(f.key)
		if needed := key == "status" || key == "machinedetection"; key == name || name == missingMost && !needed {
			continue
		}
		kept = append(kept, f)
	}
	return kept
}

// spelledOddly writes the keys alternately in capitals and in small letters, and the status in capitals.
func (p payload) spelledOddly() payload {
	odd := make(payload, len(p))
	for i, f := range p {
		if odd[i] = f; i%2 == 0 {
			odd[i].key = strings.ToUpper(f.key)
		} else {
			odd[i].key = strings.ToLower(f.key)
		}
	}
	shout := func(v any) any { return strings.ToUpper(fmt.Sprint(v)) }
	return odd.set("STATUS", shout).set("status", shout)
}

// write turns news into the bytes that go out.
func (n news) write(f facts, dialect Dialect, zone *time.Location, wrong notifyFaults) ([]byte, error) {
	var p payload
	if dialect == Gen2 {
		p = n.gen2(f)
	} else {
		layout := gen1Layout
		if wrong.dayFirst {
			layout = gen1LayoutDayFirst
		}
		p = n.gen1(f, layout, zone)
	}
	if wrong.missing != "" {
		p = p.lacking(wrong.missing)
	}
	if wrong.stringDuration {
		asText := func(v any) any { return fmt.Sprint(v) }
		p = p.set("duration", asText).set("callDuration", asText)
	}
	if wrong.oddCase {
		p = p.spelledOddly()
	}
	if wrong.array {
		return json.Marshal([]payload{p})
	}
	return p.MarshalJSON()
}
