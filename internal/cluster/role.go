package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"redial/internal/process"
)

// portTries bounds how often a role is started anew because its port was taken meanwhile.
const portTries = 5

// role is how a role of Redial is started.
type role struct {
	deployment *deployment
	name       string
	args       []string
	flag       string   // tells it its address,
	variable   string   // or this does
	settings   []string // beyond what every role is told
	probe      string   // "" is /readyz
	grace      time.Duration
}

// runningRole is a role at work, at an address that stays.
type runningRole struct {
	*process.Service
	role
	address string
}

func (r role) start(ctx context.Context) (*runningRole, error) {
	for try := 1; ; try++ {
		port, err := process.FreePort()
		if err != nil {
			return nil, err
		}
		address := net.JoinHostPort(process.Host, strconv.Itoa(port))
		p, err := r.launch(ctx, address)
		if err == nil {
			return &runningRole{process.Serve(p), r, address}, nil
		}
		if p == nil || !p.LostPort() || try == portTries {
			return nil, err
		}
	}
}

// launch starts the role at an address and waits until it is ready. A process that is returned with an error has ended.
func (r role) launch(ctx context.Context, address string) (*process.Process, error) {
	args := r.args
	if r.flag != "" {
		args = append(args[:len(args):len(args)], r.flag+"="+address)
	}
	cmd := r.deployment.redial(context.Background(), args...) // it ends with Stop
	cmd.Dir = r.deployment.folder
	cmd.Env = append(cmd.Env, r.settings...)
	if r.variable != "" {
		cmd.Env = append(cmd.Env, r.variable+"="+address)
	}
	p, err := process.Start(cmd, process.Options{Name: r.name, LogFile: r.deployment.log(r.name), Grace: r.grace})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", r.name, err)
	}
	url := "http://" + address + "/readyz"
	if r.probe != "" {
		url = "http://" + address + r.probe
	}
	if err := untilReady(ctx, p, url); err != nil {
		p.Kill()
		return p, fmt.Errorf("start %s: %w; it said last: %s (%s)", r.name, err, p.LastLines(), r.deployment.log(r.name))
	}
	return p, nil
}

// Restart stops the role, if it runs, and starts it at its address.
func (r *runningRole) Restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startFor)
	defer cancel()
	return r.Replace(ctx, func(ctx context.Context) (*process.Process, error) { return r.launch(ctx, r.address) })
}

// probe asks once whether somebody is ready.
func probe(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
