package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"redial/ledger"
)

// Chat is where the team hears of alarms that nobody has accepted: an incoming webhook of its chat.
type Chat struct{ URL string }

// Escalate posts one message. Whoever posts it may have to do so again; by the key the other side can tell that it is the same.
func (c Chat) Escalate(ctx context.Context, id string, story ledger.Story) error {
	message, err := json.Marshal(map[string]string{"text": fmt.Sprintf("%s: %s, after %d calls", story.ContactID, story.Reason, len(story.Attempts))})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(message))
	if err != nil {
		return errors.New("ALARM_CHAT_URL is no URL")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", id)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			return u.Err // without the URL, which is a secret
		}
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the chat answered %s", response.Status)
	}
	return nil
}
