package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

const root = "../.."

// load reads the compose file as docker compose does, with these profiles, and nothing of this machine's environment.
func load(t *testing.T, environment []string, profiles ...string) *types.Project {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithEnv(environment), cli.WithProfiles(profiles), cli.WithName("redial"))
	require.NoError(t, err)
	p, err := o.LoadProject(t.Context())
	require.NoError(t, err)
	return p
}

// everything is the project with all its services, whatever their profile.
func everything(t *testing.T) *types.Project { return load(t, nil, "simulator") }

func source(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(data)
}

// ours are the services that run Redial's own image, by name.
func ours(p *types.Project) map[string]types.ServiceConfig {
	found := map[string]types.ServiceConfig{}
	for name, s := range p.Services {
		if strings.HasPrefix(s.Image, "redial:") {
			found[name] = s
		}
	}
	return found
}

// stays tells whether a service is none of those that end by themselves.
func stays(s types.ServiceConfig) bool { return s.Restart == types.RestartPolicyUnlessStopped }

func TestTheSimulatorIsThereByItsProfileOnly(t *testing.T) {
	plain, simulated := load(t, nil), everything(t)
	require.NotContains(t, plain.ServiceNames(), "simulator")
	require.ElementsMatch(t, append(plain.ServiceNames(), "simulator"), simulated.ServiceNames())
	for _, name := range []string{"postgres", "temporal", "temporal-ui", "setup", "worker", "webhook-1", "webhook-2", "console", "proxy"} {
		require.Contains(t, plain.ServiceNames(), name)
	}
	require.Equal(t, 2, *plain.Services["worker"].Scale)
}

func TestEachRoleIsACommandThatExists(t *testing.T) {
	commands := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(root, "app", "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		for _, use := range regexp.MustCompile(`Use:\s+"([a-z-]+)`).FindAllStringSubmatch(source(t, strings.TrimPrefix(file, root)), -1) {
			commands[use[1]] = true
		}
	}
	for name, s := range ours(everything(t)) {
		require.True(t, commands[s.Command[0]], "%s runs redial %s", name, s.Command)
	}
}

func TestEveryImageIsPinned(t *testing.T) {
	for name, s := range everything(t).Services {
		require.Regexp(t, `^[a-z/.-]+:(\d+\.\d+(\.\d+)?|dev)$`, s.Image, name)
		require.Equal(t, strings.HasSuffix(s.Image, ":dev"), s.Build != nil, name)
	}
}

func TestEveryVariableIsOneThatRedialReads(t *testing.T) {
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`env:"([A-Z_]+)"`).FindAllStringSubmatch(source(t, "internal/config/config.go"), -1) {
		known[m[1]] = true
	}
	_, list, _ := strings.Cut(source(t, "internal/config/config.go"), "var secrets = []string{")
	list, _, _ = strings.Cut(list, "}")
	for _, m := range regexp.MustCompile(`"([A-Z_]+)"`).FindAllStringSubmatch(list, -1) {
		known[m[1]+"_FILE"] = true
	}
	variable := regexp.MustCompile(`\b(?:KORE|REDIAL)_[A-Z_]+\b`)
	for _, file := range []string{"docker-compose.yml", "deploy/Caddyfile", "Dockerfile"} {
		names := variable.FindAllString(source(t, file), -1)
		for _, name := range names {
			require.True(t, known[name], "%s names %s, which nothing reads", file, name)
		}
	}
	require.Greater(t, len(variable.FindAllString(source(t, "docker-compose.yml"), -1)), 20)
}

func TestNothingButTheProxyIsReachedFromOutside(t *testing.T) {
	for name, s := range everything(t).Services {
		for _, port := range s.Ports {
			require.True(t, name == "proxy" || port.HostIP == "127.0.0.1", "%s publishes %s on %q", name, port.Published, port.HostIP)
		}
		require.NotEqual(t, "host", s.NetworkMode, name)
	}
	p := everything(t)
	for _, name := range []string{"postgres", "temporal", "worker", "console"} {
		require.NotContains(t, p.Services[name].Networks, "edge", "the proxy would reach %s", name)
	}
	require.Len(t, p.Services["proxy"].Networks, 1)
	require.Contains(t, p.Services["proxy"].Networks, "edge")
}

// What a role says it needs to stop is what an orchestrator has to give it.
func TestEveryRoleHasTheTimeToStopThatItAsksFor(t *testing.T) {
	asks := func(file, pattern string) time.Duration {
		m := regexp.MustCompile(pattern).FindStringSubmatch(source(t, file))
		require.NotNil(t, m, "%s no longer says %s", file, pattern)
		n, err := strconv.Atoi(m[1])
		require.NoError(t, err)
		return time.Duration(n) * time.Second
	}
	drain := asks("internal/config/config.go", `REDIAL_DRAIN_DELAY" envDefault:"(\d+)s"`)
	finish := asks("app/webhook.go", `finishFor = (\d+) \* time\.Second`)
	p := everything(t)
	grace := func(name string) time.Duration { return time.Duration(*p.Services[name].StopGracePeriod) }
	require.GreaterOrEqual(t, grace("worker"), asks("app/worker.go", `allow it (\d+) seconds`))
	require.GreaterOrEqual(t, grace("webhook-1"), drain+finish)
	require.GreaterOrEqual(t, grace("webhook-2"), drain+finish)
	require.GreaterOrEqual(t, grace("console"), asks("internal/serve/serve.go", `Grace = (\d+) \* time\.Second`))
	require.GreaterOrEqual(t, grace("simulator"), asks("internal/serve/serve.go", `Grace = (\d+) \* time\.Second`)+5*time.Second)
	require.Greater(t, grace("proxy"), asks("deploy/Caddyfile", `grace_period (\d+)s`))
}

func TestWhatStaysIsRestartedAndWatchedAndHasLimits(t *testing.T) {
	for name, s := range everything(t).Services {
		if !stays(s) {
			require.Equal(t, "on-failure:5", s.Restart, name)
			continue
		}
		if name == "temporal-ui" { // nobody waits for it
			continue
		}
		byImage := ours(everything(t))[name].Image != "" // the Dockerfile's, see there
		require.True(t, byImage || s.HealthCheck != nil, "%s has no health check", name)
		require.False(t, s.HealthCheck != nil && s.HealthCheck.Disable, name)
	}
	for name, s := range ours(everything(t)) {
		require.Positive(t, s.Deploy.Resources.Limits.MemoryBytes, name)
		require.Positive(t, s.Deploy.Resources.Reservations.MemoryBytes, name)
		require.True(t, s.ReadOnly && slices.Equal(s.CapDrop, []string{"ALL"}), name)
	}
}

// `up --wait` takes the end of a job for a failure, unless somebody waits for it.
func TestEveryJobIsWaitedForAndNothingStartsBeforeWhatItNeeds(t *testing.T) {
	p := everything(t)
	waited := map[string]bool{}
	for name, s := range p.Services {
		for on, d := range s.DependsOn {
			require.NotEqual(t, types.ServiceConditionStarted, d.Condition, "%s does not wait until %s is of use", name, on)
			require.Equal(t, d.Condition == types.ServiceConditionCompletedSuccessfully, !stays(p.Services[on]), "%s waits for %s", name, on)
			waited[on] = waited[on] || d.Condition == types.ServiceConditionCompletedSuccessfully
		}
	}
	for name, s := range p.Services {
		require.True(t, stays(s) || waited[name], "nobody waits for %s", name)
	}
	for _, name := range []string{"worker", "webhook-1", "webhook-2"} {
		require.Contains(t, p.Services[name].DependsOn, "setup")
	}
}

// sensitive is what no environment may hold: it would stand in docker inspect.
var sensitive = regexp.MustCompile(`SECRET$|REDIAL_DATABASE$`)

func TestSecretsOfRedialComeInFiles(t *testing.T) {
	p := everything(t)
	for name, s := range ours(p) {
		for variable, value := range s.Environment {
			require.False(t, sensitive.MatchString(variable) && value != nil, "%s has %s in its environment", name, variable)
		}
	}
	worker := p.Services["worker"].Environment
	for _, variable := range []string{"REDIAL_DATABASE", "REDIAL_NOTIFY_SECRET", "REDIAL_ID_SECRET", "REDIAL_ESCALATION_SECRET", "KORE_CLIENT_SECRET"} {
		require.NotNil(t, worker[variable+"_FILE"], variable)
	}
	for _, role := range []string{"webhook-1", "webhook-2", "setup"} {
		require.Empty(t, p.Services[role].Secrets, "%s does not dial", role)
	}
}

func TestWithoutAnAccountTheWorkersUseTheSimulatorsAndWithOneTheyUseIt(t *testing.T) {
	p := everything(t)
	known := map[string]string{}
	for _, m := range regexp.MustCompile(`(Default\w+)\s+= "(.*)"`).FindAllStringSubmatch(source(t, "simulator/config.go"), -1) {
		known[m[1]] = m[2]
	}
	worker := p.Services["worker"].Environment
	require.Equal(t, known["DefaultBotID"], *worker["KORE_BOT_ID"])
	require.Equal(t, known["DefaultClientID"], *worker["KORE_CLIENT_ID"])
	secret, err := os.ReadFile(p.Secrets["kore-client-secret"].File)
	require.NoError(t, err)
	require.Equal(t, known["DefaultClientSecret"], strings.TrimSpace(string(secret)))
	require.Equal(t, "http://simulator:8090", *worker["KORE_BASE_URL"])
	require.Contains(t, p.Services["simulator"].Command, "--addr=0.0.0.0:8090")
	require.Equal(t, *p.Services["proxy"].Environment["REDIAL_NOTIFY_URL"], *worker["REDIAL_NOTIFY_URL"])

	own := load(t, []string{"KORE_BASE_URL=https://platform.example", "KORE_CLIENT_SECRET_FILE=./my-secret", "REDIAL_NOTIFY_URL=https://calls.example.com",
		"REDIAL_ALLOW_TO=+14155550100", "REVISION=abc"})
	worker = own.Services["worker"].Environment
	require.Equal(t, "https://platform.example", *worker["KORE_BASE_URL"])
	require.Equal(t, "my-secret", filepath.Base(own.Secrets["kore-client-secret"].File))
	require.Equal(t, "+14155550100", *worker["REDIAL_ALLOW_TO"])
	require.Equal(t, "https://calls.example.com", *own.Services["proxy"].Environment["REDIAL_NOTIFY_URL"])
	require.Equal(t, "abc", *own.Services["worker"].Build.Args["REVISION"])
	for _, unset := range []string{"REDIAL_ALLOW_TO", "KORE_TRUNK", "REDIAL_DEPLOYMENT"} {
		require.Nil(t, p.Services["worker"].Environment[unset], fmt.Sprintf("%s would be set to nothing", unset))
	}
}
