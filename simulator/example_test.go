package simulator_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"redial/simulator"
)

// A dialer under test is pointed at a listener, and held against the truth afterwards.
func Example() {
	sim, err := simulator.New(simulator.Config{Speed: 10_000})
	if err != nil {
		panic(err)
	}
	gateway := httptest.NewServer(sim.Handler())
	defer gateway.Close()
	notified := make(chan string, 1)
	dialer := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { notified <- "notified" }))
	defer dialer.Close()

	if err := sim.Script("+1 555 777 0001", "busy,human"); err != nil {
		panic(err)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"appId": simulator.DefaultClientID, "exp": time.Now().Add(5 * time.Minute).Unix(),
	}).SignedString([]byte(simulator.DefaultClientSecret))
	if err != nil {
		panic(err)
	}
	request, err := http.NewRequest(http.MethodPost, gateway.URL+"/api/1.1/public/bot/"+simulator.DefaultBotID+"/smartassist/dialout",
		strings.NewReader(`{"target": "tel:15557770001", "caller": "+15550001111", "notifyurl": "`+dialer.URL+`"}`))
	if err != nil {
		panic(err)
	}
	request.Header.Set("auth", token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()

	fmt.Println(response.Status, <-notified)
	if err := sim.Close(context.Background()); err != nil {
		panic(err)
	}
	for _, call := range sim.Calls() {
		fmt.Println(call.Target, call.N, call.Outcome, call.SIP, call.Notifications[0].Event, call.Notifications[0].Status)
	}
	// Output:
	// 200 OK notified
	// tel:15557770001 1 busy 486 failed 200
}
