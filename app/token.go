package app

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"redial/internal/config"
	"redial/internal/token"
)

// longestToken is how long a token may be good: there is no list of those that were taken back.
const longestToken = 366 * 24 * time.Hour

func tokenCommand() *cobra.Command {
	var name string
	var ttl time.Duration
	var asJSON bool
	c := &cobra.Command{
		Use:   "token --for NAME",
		Short: "Make a token with which a person or a program may ask the console",
		Long: `Make a bearer token for the console, signed with REDIAL_CONSOLE_SECRET, and print it. It lets its holder look at everything and
change nothing, until it expires; the name stands in the console's log. It cannot be taken back by itself: take its key
out of REDIAL_CONSOLE_SECRET, which may list several (kid:secret,kid:secret; the first signs).`,
		Example: `  redial token --for grafana --ttl 720h
  curl -H "Authorization: Bearer $(redial token --for anna)" http://127.0.0.1:8080/api/v1/capacity`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if ttl < time.Second || ttl > longestToken {
				return usagef("--ttl %s: give a time from 1s to %s", ttl, longestToken)
			}
			made, err := makeToken(name, ttl)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), made)
			}
			fmt.Fprintln(c.OutOrStdout(), made.Token)
			return nil
		},
	}
	c.Flags().StringVar(&name, "for", "", "whom it is for: a person or a program (required)")
	c.Flags().DurationVar(&ttl, "ttl", 12*time.Hour, "how long it is good, up to a year")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// madeToken is what redial token prints as JSON.
type madeToken struct {
	Token   string    `json:"token"`
	For     string    `json:"for"`
	Scopes  []string  `json:"scopes"`
	Expires time.Time `json:"expires_at"`
}

func makeToken(name string, ttl time.Duration) (madeToken, error) {
	cfg, err := config.FromEnvironment()
	if err != nil {
		return madeToken{}, err
	}
	keys, err := cfg.ConsoleKeys()
	if err != nil {
		return madeToken{}, err
	}
	now := time.Now().UTC()
	m := madeToken{For: name, Scopes: []string{token.Read}, Expires: now.Add(ttl).Truncate(time.Second)}
	if m.Token, err = keys.MintAccess(name, m.Scopes, now, m.Expires); err != nil {
		return m, usagef("--for: %w", err)
	}
	return m, nil
}
