package koreai

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// reach opens a connection to the gateway's host, through the proxy if there is one. A CONNECT names the host only, so
// that nothing of the request has been sent when it fails.
func (c *Client) reach(ctx context.Context, address string) (net.Conn, error) {
	proxy, err := c.cfg.Proxy(&http.Request{Method: http.MethodPost, URL: c.endpoint})
	if err != nil {
		return nil, errors.New("the proxy setting is no URL; write HTTPS_PROXY as http://host:port")
	}
	if proxy == nil {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	if proxy.Scheme != "http" {
		return nil, fmt.Errorf("a %s proxy is not supported; write HTTPS_PROXY as http://host:port", proxy.Scheme)
	}
	port := proxy.Port()
	if port == "" {
		port = "80"
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(proxy.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = tunnel(conn, proxy, address)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("proxy %s: %w", proxy.Host, err)
	}
	return conn, nil
}

func tunnel(conn net.Conn, proxy *url.URL, address string) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if proxy.User != nil {
		password, _ := proxy.User.Password()
		credentials := base64.StdEncoding.EncodeToString([]byte(proxy.User.Username() + ":" + password))
		req.Header.Set("Proxy-Authorization", "Basic "+credentials)
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	buffered := bufio.NewReader(conn)
	res, err := http.ReadResponse(buffered, req)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("it answered CONNECT with %d; check the proxy and its credentials", res.StatusCode)
	}
	if buffered.Buffered() > 0 {
		return errors.New("it spoke before the gateway could")
	}
	return nil
}
