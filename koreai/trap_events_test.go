package koreai_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/koreai"
)

// heard decodes and folds notifications a millisecond apart, as the webhook and the ledger do.
func heard(t *testing.T, notifications ...string) call.Attempt {
	t.Helper()
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	a := call.Attempt{State: call.StateDialing, Detection: true, DialedAt: at}
	for _, n := range notifications {
		at = at.Add(time.Millisecond)
		events, err := koreai.Decode([]byte(n), koreai.DecodeOptions{ReceivedAt: at})
		require.NoError(t, err)
		for _, e := range events {
			a.Fold(e)
		}
	}
	return a
}

func TestTrap19TimesThatTheGatewayStatesDecideNothing(t *testing.T) {
	answered := `{"status":"Answered","reasonCode":"OK","callConnectTime":"2025-05-08T11:32:17.600Z"}`
	for _, connect := range []string{"2025-05-08T11:32:17.600Z", "2025-05-08T11:32:17.609Z", "2019-01-01T00:00:00.000Z", "never"} {
		a := heard(t, answered, `{"status":"completed","machineDetection":"amd_human_detected","callDuration":14,"callConnectTime":"`+connect+`"}`)
		require.Equal(t, call.Human, a.Disposition, connect)
		require.Equal(t, 14*time.Second, a.EndedAt.Sub(a.AnsweredAt), connect)
		require.Equal(t, 2026, a.EndedAt.Year(), "our own clock")
	}
}

func TestTrap30EventsAreOrderedByWhatTheySayAndNotByTheirArrival(t *testing.T) {
	stopped := `{"status":"Call-In-Progress","machineDetection":"amd_stopped","callConnectTime":"2025-05-08T11:32:31.103Z"}`
	speaking := `{"status":"Call-In-Progress","machineDetection":"amd_machine_stopped_speaking","callConnectTime":"2025-05-08T11:32:31.092Z"}`
	end := `{"status":"completed","machineDetection":"amd_stopped","callDuration":20}`
	for _, order := range [][]string{{stopped, speaking, end}, {speaking, stopped, end}, {end, stopped, speaking}, {stopped, end, speaking}} {
		require.Equal(t, call.Machine, heard(t, order...).Disposition)
	}
}

func TestTrap38TheGatewaysNamesAreNamesOfOneThing(t *testing.T) {
	for _, name := range []string{"SAVG-disconnected", "KoreVG-disconnected", "korevg-Disconnected"} {
		require.Equal(t, call.PartyGateway, heard(t, `{"status":"completed","reasonCode":"`+name+`","machinedetection":"amd_machine_detected"}`).EndedBy)
	}
	for _, host := range []string{"https://platform.kore.ai", "https://smartassist.kore.ai", "https://ind-platform.kore.ai/"} {
		_, err := koreai.New(koreai.Config{BaseURL: host, BotID: "st-1", ClientID: "cs-1", ClientSecret: "s"})
		require.NoError(t, err)
	}
}
