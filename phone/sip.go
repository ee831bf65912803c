package phone

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// hostName is deliberately wider than the address formats inside it: the gateway's documentation itself shows
// 1.23.345.678, which is no IPv4 address.
var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// canonicalSIP normalises what follows "sip:" or "sips:" (RFC 3261, 19.1). Only scheme and host are compared without
// case there, so only they are folded.
func canonicalSIP(scheme, rest string) (string, error) {
	if strings.Contains(rest, "?") {
		return "", errors.New("headers after ? are refused, because they would be put into the call; remove them")
	}
	user, address, found := strings.Cut(rest, "@")
	if !found || user == "" || strings.Contains(address, "@") {
		return "", errors.New("a SIP address has one user and one host; write sip:user@host or sip:user@host:port")
	}
	user, err := canonicalUser(user)
	if err != nil {
		return "", err
	}
	address, _, _ = strings.Cut(address, ";")
	address, err = canonicalAddress(address)
	if err != nil {
		return "", err
	}
	uri := scheme + ":" + user + "@" + address
	if len(uri) > maxTarget {
		return "", fmt.Errorf("it is longer than %d bytes when written out; shorten it", maxTarget)
	}
	return uri, nil
}

// userMarks are the characters besides letters and digits that RFC 3261 lets stand in a user part as they are.
const userMarks = "-_.!~*'()&=+$,;/"

// canonicalUser keeps the user part as given but for its escapes: one that need not be an escape is written out, any
// other in upper case, so that one user has one spelling.
func canonicalUser(user string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(user); i++ {
		c := user[i]
		switch {
		case c == ':':
			return "", errors.New("a password in a SIP address would be stored and shown; remove it")
		case c == '%':
			escaped, err := unescape(user[i:])
			if err != nil {
				return "", err
			}
			if isUnreserved(escaped) {
				b.WriteByte(escaped)
			} else {
				fmt.Fprintf(&b, "%%%02X", escaped)
			}
			i += 2
		case isAlphanumeric(c), strings.IndexByte(userMarks, c) >= 0:
			b.WriteByte(c)
		default:
			return "", fmt.Errorf("the user part may not contain %q; write it as %%%02X", c, c)
		}
	}
	return b.String(), nil
}

func unescape(s string) (byte, error) {
	if len(s) < 3 {
		return 0, errors.New("a % in the user part starts an escape of two hexadecimal digits; write a percent sign as %25")
	}
	v, err := strconv.ParseUint(s[1:3], 16, 8)
	if err != nil {
		return 0, errors.New("a % in the user part starts an escape of two hexadecimal digits; write a percent sign as %25")
	}
	if v < ' ' || v == 0x7f {
		return 0, errors.New("the user part contains an escaped control character; remove it")
	}
	return byte(v), nil
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isUnreserved(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("-_.!~*'()", c) >= 0 }

// canonicalAddress normalises host[:port]. A stated port stays, even the default one: leaving it out asks for a look-up
// of the service, which may lead elsewhere.
func canonicalAddress(address string) (string, error) {
	host, port := address, ""
	if end := strings.LastIndexByte(address, ']'); strings.HasPrefix(address, "[") && end > 0 {
		host, port = address[:end+1], address[end+1:]
		ip, err := netip.ParseAddr(host[1:end])
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return "", fmt.Errorf("%s is no IPv6 address; write it as [2001:db8::1]", quote(host))
		}
		host = "[" + ip.String() + "]"
	} else {
		if colon := strings.IndexByte(address, ':'); colon >= 0 {
			host, port = address[:colon], address[colon:]
		}
		host = strings.ToLower(host)
		if !hostName.MatchString(host) {
			return "", fmt.Errorf("%s is no host name; write sip:user@host or sip:user@host:port", quote(host))
		}
	}
	if port == "" {
		return host, nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(port, ":"), 10, 16)
	if err != nil || n == 0 || !strings.HasPrefix(port, ":") {
		return "", fmt.Errorf("%s is no port; use 1 to 65535, or leave it out", quote(strings.TrimPrefix(port, ":")))
	}
	return host + ":" + strconv.FormatUint(n, 10), nil
}
