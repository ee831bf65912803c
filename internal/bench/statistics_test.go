package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMedian(t *testing.T) {
	require.Equal(t, 2.0, median([]float64{3, 1, 2}))
	require.Equal(t, 2.5, median([]float64{4, 1, 3, 2}))
	require.True(t, math.IsNaN(median(nil)))
	values := []float64{2, 1}
	median(values)
	require.Equal(t, []float64{2, 1}, values, "the values stay in their order")
}

func TestPercentile(t *testing.T) {
	var hundred []float64
	for i := range 100 {
		hundred = append(hundred, float64(100-i))
	}
	require.Equal(t, 99.0, percentile(hundred, 99))
	require.Equal(t, 50.0, percentile(hundred, 50))
	require.Equal(t, 100.0, percentile(hundred, 100))
	require.Equal(t, 1.0, percentile(hundred, 0))
	require.Equal(t, 7.0, percentile([]float64{7}, 99))
	require.True(t, math.IsNaN(percentile(nil, 99)))
}

func TestJudge(t *testing.T) {
	b := budget{name: "n", what: "w", limit: "at least 2", holds: atLeast(2)}
	require.Equal(t, verdictHolds, b.judge(finding{value: 2}, true).Verdict)
	require.Equal(t, verdictMisses, b.judge(finding{value: 1.9}, true).Verdict)
	void := b.judge(finding{why: "it broke"}, true)
	require.Equal(t, verdictNotMeasured, void.Verdict)
	require.Nil(t, void.Value, "no figure where nothing was measured")
	require.Equal(t, verdictNotMeasured, b.judge(finding{}, false).Verdict)
}

func TestAMeasurementIsChosenByItsNameOrOnBothDatabases(t *testing.T) {
	chosen := func(list string) (names []string) {
		scenarios, err := choose(list)
		require.NoError(t, err)
		for _, s := range scenarios {
			names = append(names, s.name)
		}
		return names
	}
	require.Equal(t, []string{"webhook-sqlite", "webhook-postgres"}, chosen("webhook"))
	require.Equal(t, []string{"webhook-postgres", "memory"}, chosen("webhook-postgres, memory"))
	require.Equal(t, names(), chosen(""))
	_, err := choose("web")
	require.ErrorContains(t, err, "webhook-sqlite")
}

func TestWhatThisMachineLacksIsSaidAndIsNoFailure(t *testing.T) {
	lacking := scenario{name: "cluster", budgets: []budget{{name: "c"}}, needs: func() error { return errors.New("no server") },
		run: func(context.Context, *bench) error { t.Fatal("it was run"); return nil }}
	var out, progress bytes.Buffer
	require.NoError(t, measure(t.Context(), settings{folder: t.TempDir(), json: true}, []scenario{lacking}, &out, &progress))
	require.Contains(t, progress.String(), "NOT MEASURED: no server")
	var r report
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	require.Equal(t, verdictNotMeasured, r.Rows[0].Verdict)
	require.Equal(t, "no server", r.Rows[0].Why)
	require.Contains(t, r.Notes[0], "NOT MEASURED: cluster: no server")
}
