package koreai_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/koreai"
)

func TestASignatureHoldsForItsBodySecretAndFiveMinutesOnly(t *testing.T) {
	secret, body := []byte("webhook-secret"), []byte(`{"status":"completed"}`)
	now := time.Unix(1772445600, 0)
	mac := func(secret []byte, stamp string, body []byte) string {
		h := hmac.New(sha256.New, secret)
		fmt.Fprintf(h, "%s.%s", stamp, body)
		return hex.EncodeToString(h.Sum(nil))
	}
	stamp := "1772445600"
	good := mac(secret, stamp, body)
	for _, header := range []string{"t=" + stamp + ",v1=" + good, "v1=" + good + ", t=" + stamp, "t=" + stamp + ",v1=" + mac([]byte("old"), stamp, body) + ",v1=" + good + ",v0=x"} {
		for _, off := range []time.Duration{0, 5 * time.Minute, -5 * time.Minute} {
			require.NoError(t, koreai.VerifySignature(header, body, secret, now.Add(off)), header)
		}
		require.ErrorIs(t, koreai.VerifySignature(header, body, secret, now.Add(301*time.Second)), koreai.ErrSignature)
		require.ErrorIs(t, koreai.VerifySignature(header, body, secret, now.Add(-301*time.Second)), koreai.ErrSignature)
		require.ErrorIs(t, koreai.VerifySignature(header, append(body, ' '), secret, now), koreai.ErrSignature)
		require.ErrorIs(t, koreai.VerifySignature(header, body, []byte("another"), now), koreai.ErrSignature)
		require.ErrorIs(t, koreai.VerifySignature(header, body, nil, now), koreai.ErrSignature)
	}
	for _, header := range []string{"", "t=", "v1=" + good, "t=" + stamp, "t=" + stamp + ",v1=", "t=" + stamp + ",v1=xyz", "t=1772445601,v1=" + good,
		"t=soon,v1=" + mac(secret, "soon", body), "t=" + stamp + ",v1=" + good[:62]} {
		require.ErrorIs(t, koreai.VerifySignature(header, body, secret, now), koreai.ErrSignature, header)
	}
}
