package webhook_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/call"
)

const busy = `{"status":"failed","reason":"486 Busy Here","reasonCode":"Busy Here"}`

func TestTrap31AnAnswerTo200IsShortAndAskedForNothing(t *testing.T) {
	d := open(t)
	status, answer := d.do(http.MethodPost, d.dial("anna"), strings.NewReader(busy))
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, answer)
}

func TestTrap32NotificationsNeedNoHeaderOfOurs(t *testing.T) {
	d := open(t)
	path := d.dial("anna")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.server.URL+path, strings.NewReader(busy))
	require.NoError(t, err)
	request.Header = http.Header{} // not even a content type
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, call.Busy, d.show("anna").Attempts[0].Disposition)
}
