package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// Proxies are the addresses of proxies that are believed when they say whom a request is from. Empty: none is.
type Proxies []netip.Prefix

func (p *Proxies) UnmarshalText(text []byte) error {
	for entry := range strings.SplitSeq(string(text), ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		addresses, err := addressRange(entry)
		if err != nil {
			return err
		}
		*p = append(*p, addresses)
	}
	if len(*p) == 0 {
		return fmt.Errorf("%q names no proxy: write one, or unset the variable to trust none", text)
	}
	return nil
}

func addressRange(entry string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(entry); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	addresses, err := netip.ParsePrefix(entry)
	if err != nil || addresses.Addr().Is4In6() {
		return addresses, fmt.Errorf("%q is neither an address nor a range of addresses: write 10.0.0.5, 10.0.0.0/8 or fd00::/8", entry)
	}
	if addresses.Bits() == 0 {
		return addresses, fmt.Errorf("%q would let everybody say where a request is from: write the addresses of the proxies alone", entry)
	}
	return addresses.Masked(), nil
}
