package simulator

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawn is what a profile makes of a dial, as text.
func drawn(sim *Simulator, t require.TestingT, number string) string {
	to, err := parseTarget("tel:" + number)
	require.NoError(t, err)
	s, n, thrown, err := sim.choose(dialRequest{target: "tel:" + number, to: to})
	require.NoError(t, err)
	asked := Requested{Timeout: defaultTimeout, Detection: Detect, Threshold: defaultThreshold, Timers: defaultTimers}
	return fmt.Sprintf("%d %s %+v", n, s.text, makePlan(s, asked, thrown, Mixed))
}

func TestADialComesOutTheSameWhateverTheOrderOfDials(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		newSim := func() *Simulator {
			sim, err := New(Config{Seed: seed, Profile: Storm(), PlainNumbers: true})
			require.NoError(t, err)
			return sim
		}
		numbers := rapid.SliceOfNDistinct(rapid.StringMatching(`1555[0-9]{7}`), 2, 12, rapid.ID[string]).Draw(t, "numbers")
		var dials []string
		for _, number := range numbers {
			for range rapid.IntRange(1, 3).Draw(t, "dials") {
				dials = append(dials, number)
			}
		}
		run := func() map[string][]string {
			sim, came := newSim(), map[string][]string{}
			defer sim.endLife()
			for _, number := range dials {
				came[number] = append(came[number], drawn(sim, t, number))
			}
			return came
		}
		first := run()
		rand.New(rand.NewSource(int64(rapid.IntRange(0, 1<<30).Draw(t, "shuffle")))).Shuffle(len(dials), func(i, j int) { dials[i], dials[j] = dials[j], dials[i] })
		require.Equal(t, first, run())
	})
}

func TestAnotherSeedGivesOtherCalls(t *testing.T) {
	t.Parallel()
	draw := func(seed uint64) (list []string) {
		sim, err := New(Config{Seed: seed, Profile: Everyday()})
		require.NoError(t, err)
		defer sim.endLife()
		for i := range 50 {
			list = append(list, drawn(sim, t, fmt.Sprintf("1555123%04d", 5000+i)))
		}
		return list
	}
	assert.Equal(t, draw(7), draw(7))
	sim, err := New(Config{Profile: Everyday()})
	require.NoError(t, err)
	defer sim.endLife()
	redials := map[string]bool{}
	for range 20 {
		_, came, _ := strings.Cut(drawn(sim, t, "15551235000"), " ")
		redials[came] = true
	}
	assert.Len(t, redials, 20, "each dial of a number is drawn anew")
	assert.NotEqual(t, draw(7), draw(8))
}

func TestAProfileDrawsInItsProportions(t *testing.T) {
	t.Parallel()
	sim, err := New(Config{Seed: 42, PlainNumbers: true, Profile: Profile{
		Outcomes: map[string]float64{"human": 3, "busy": 1, "silent": 0}, Faults: map[string]float64{"duplicate": 0.1, "words=2": 1},
	}})
	require.NoError(t, err)
	defer sim.endLife()
	const dials = 4000
	outcomes, faults := map[string]int{}, 0
	for i := range dials {
		to, err := parseTarget(fmt.Sprintf("tel:1555%07d", i))
		require.NoError(t, err)
		s, _, _, err := sim.choose(dialRequest{to: to})
		require.NoError(t, err)
		outcomes[s.outcome]++
		if s.notify.duplicate {
			faults++
		}
		assert.Equal(t, s.outcome == "human", s.words == 2, "a fault that contradicts the outcome is left out")
	}
	// Four standard deviations of a binomial: the seed is fixed, so that the test cannot fail by chance, but a changed
	// draw should not have to be lucky.
	assert.InDelta(t, dials*3/4, outcomes["human"], 110)
	assert.InDelta(t, dials/10, faults, 76)
	assert.Zero(t, outcomes["silent"])
}

func TestTheProfilesThatComeWithThePackageAreValid(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]Profile{"everyday": Everyday(), "storm": Storm(), "zero": {}} {
		_, err := p.ready()
		assert.NoError(t, err, name)
	}
}

func TestAConfigurationThatMakesNoSenseIsRefusedInWords(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]Config{
		"speed -1":           {Speed: -1},
		"speed 2e+06":        {Speed: 2e6},
		`dialect "gen3"`:     {Dialect: "gen3"},
		"success status 204": {SuccessStatus: 204},
		"rate status 200":    {RateStatus: 200},
		`scope "none"`:       {Scope: "none"},
		"lines -1":           {Lines: -1},
		"rate per minute -1": {RatePerMinute: -1},
		"retries -1":         {Retries: -1},
		`outcome "bizzy"`:    {Profile: Profile{Outcomes: map[string]float64{"bizzy": 1}}},
		`"human,busy"`:       {Profile: Profile{Outcomes: map[string]float64{"human,busy": 1}}},
		"weight -1":          {Profile: Profile{Outcomes: map[string]float64{"human": -1}}},
		"all have weight 0":  {Profile: Profile{Outcomes: map[string]float64{"human": 0}}},
		`fault "busyness"`:   {Profile: Profile{Faults: map[string]float64{"busyness": 0.1}}},
		"probability 2":      {Profile: Profile{Faults: map[string]float64{"lost": 2}}},
	} {
		_, err := New(config)
		assert.ErrorContains(t, err, want)
	}
}
