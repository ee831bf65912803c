package logging_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.uber.org/zap"

	"redial/internal/logging"
)

func TestLinesAreJSONAtTheirLevelAndAbove(t *testing.T) {
	var out bytes.Buffer
	l, err := logging.New("warn", &out)
	require.NoError(t, err)
	l.Info("not this")
	l.Warn("this", zap.String("attempt", "k"))
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line), out.String())
	require.Equal(t, "this", line["msg"])
	require.Equal(t, "warn", line["level"])
	require.Equal(t, "k", line["attempt"])
	_, err = time.Parse(time.RFC3339Nano, line["time"].(string))
	require.NoError(t, err)
}

func TestALevelThatIsNoneIsRefused(t *testing.T) {
	_, err := logging.New("loud", &bytes.Buffer{})
	require.ErrorContains(t, err, `"loud" is no level`)
	for _, level := range []string{"debug", "info", "warn", "error"} {
		_, err := logging.New(level, &bytes.Buffer{})
		require.NoError(t, err)
	}
}

func TestTemporalsLinesAreOurs(t *testing.T) {
	var out bytes.Buffer
	z, err := logging.New("debug", &out)
	require.NoError(t, err)
	l := log.With(log.Skip(logging.ForTemporal(z), 1), "queue", "redial")
	for level, say := range map[string]func(string, ...any){"debug": l.Debug, "info": l.Info, "warn": l.Warn, "error": l.Error} {
		out.Reset()
		say("hello", "n", 1)
		var line map[string]any
		require.NoError(t, json.Unmarshal(out.Bytes(), &line), out.String())
		require.Equal(t, level, line["level"])
		require.Equal(t, "redial", line["queue"])
		require.EqualValues(t, 1, line["n"])
	}
}
