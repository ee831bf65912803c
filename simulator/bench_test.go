package simulator

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// What a benchmark of a dialer pays for the gateway: one accepted request, and one call lived through, without the
// network.
func BenchmarkDialout(b *testing.B) {
	sim, err := New(Config{Speed: fast, PlainNumbers: true})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = sim.Close(b.Context()) }()
	handler := sim.Handler()
	b.ReportAllocs()
	var n int
	for b.Loop() {
		n++
		signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"appId": DefaultClientID, "jti": uuid.NewString(), "exp": time.Now().Add(time.Minute).Unix()}).SignedString([]byte(DefaultClientSecret))
		if err != nil {
			b.Fatal(err)
		}
		body := fmt.Appendf(nil, `{"target":"tel:1555%07d","caller":"+15550001111","machineDetection":"detect"}`, n)
		request := httptest.NewRequest(http.MethodPost, dialoutPath, bytes.NewReader(body))
		request.Header.Set("auth", signed)
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusOK {
			b.Fatal(recorder.Body.String())
		}
	}
}
