package koreai

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// SignatureHeader is the header that VerifySignature reads.
const SignatureHeader = "SAVG-Signature"

// signatureAge is how far the time of a signature may lie from our clock, in either direction.
const signatureAge = 5 * time.Minute

// ErrSignature means that a notification's signature does not prove that the gateway sent it; errors that wrap it say why.
var ErrSignature = errors.New("koreai: the signature does not hold")

// VerifySignature checks the gateway's signature header, "t=<unix seconds>,v1=<hex>[,v1=<hex>…]", over the body as it
// was received: HMAC-SHA256 of "<t>.<body>" with the account's webhook secret, not more than five minutes from now.
//
// The gateway's documentation shows the header and says neither what it covers nor where its secret is to be had; the
// rule is that of jambonz, the engine beneath it. So the check is an extra for whoever has a secret: what authenticates a
// notification is the token in its URL.
func VerifySignature(header string, body []byte, secret []byte, now time.Time) error {
	if len(secret) == 0 {
		return fmt.Errorf("%w: there is no secret to check it with; configure one, or leave the check off", ErrSignature)
	}
	var stamp string
	var macs [][]byte
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			stamp = value
		case "v1":
			if mac, err := hex.DecodeString(value); err == nil {
				macs = append(macs, mac)
			}
		}
	}
	if stamp == "" || len(macs) == 0 {
		return fmt.Errorf("%w: the header is missing or not of the form t=…,v1=…", ErrSignature)
	}
	sum := hmac.New(sha256.New, secret)
	sum.Write([]byte(stamp + "."))
	sum.Write(body)
	want := sum.Sum(nil)
	good := false
	for _, mac := range macs {
		good = hmac.Equal(mac, want) || good
	}
	if !good {
		return fmt.Errorf("%w: it was made with another secret or over another body", ErrSignature)
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: its time is no number of seconds", ErrSignature)
	}
	if age := now.Sub(time.Unix(seconds, 0)).Abs(); age > signatureAge {
		return fmt.Errorf("%w: it was made %s from now, and %s is allowed; check this host's clock", ErrSignature, age.Round(time.Second), signatureAge)
	}
	return nil
}
