package config

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// forms maps the form of a variable to the function that checks a value and
// returns it in the one spelling that the field's type reads.
//
//nolint:gochecknoglobals // A table that never changes.
var forms = map[string]func(v variable, value string) (string, error){
	"text":     readText,
	"secret":   func(_ variable, value string) (string, error) { return value, nil },
	"token":    readToken,
	"user":     readUser,
	"host":     readHost,
	"url":      readURL,
	"key":      readKey,
	"server":   readServer,
	"bind":     readBind,
	"loopback": readLoopback,
	"ip":       readIP,
	"port":     readPort,
	"ports":    readPorts,
	"int":      readInt,
	"bool":     readBool,
	"enum":     readEnum,
	"duration": readDuration,
	"country":  readCountry,
	"allow":    readList,
	"list":     readRealms,
	"dir":      func(_ variable, value string) (string, error) { return filepath.Clean(value), nil },
	"networks": readNetworks,
	"pem":      func(_ variable, value string) (string, error) { return value, checkPEM(value) },
}

func readText(_ variable, value string) (string, error) {
	if strings.ContainsAny(value, "\"<>\\") {
		return "", errors.New(`contains one of " < > \, which a SIP header cannot carry here`)
	}
	return value, nil
}

func readToken(_ variable, value string) (string, error) {
	for _, c := range []byte(value) {
		if c <= ' ' || c >= 0x7f {
			return "", errors.New("contains a space or a character that an HTTP header cannot carry")
		}
	}
	return value, nil
}

func readUser(_ variable, value string) (string, error) {
	lower := strings.ToLower(value)
	if strings.HasPrefix(lower, "sip:") || strings.HasPrefix(lower, "sips:") || strings.Contains(value, "@") {
		return "", errors.New("is a whole SIP address; write the part after the @ into SIP_DOMAIN")
	}
	if strings.ContainsAny(value, " \"<>\\") {
		return "", errors.New(`contains a space or one of " < > \`)
	}
	return value, nil
}

func readHost(_ variable, value string) (string, error) {
	if strings.Contains(value, "://") {
		return "", errors.New("is a URL")
	}
	return cleanHost(strings.TrimSuffix(strings.TrimPrefix(value, "["), "]"))
}

func readServer(_ variable, value string) (string, error) {
	if _, err := ParseServer(value); err != nil {
		return "", err
	}
	return value, nil
}

// readBind accepts address:port, a lone address (port 5060) and :port or a lone
// port (all IPv4 addresses).
func readBind(_ variable, value string) (string, error) {
	if _, err := strconv.ParseUint(value, 10, 16); err == nil {
		value = ":" + value
	}
	if strings.HasPrefix(value, ":") && !strings.HasPrefix(value, "::") {
		value = "0.0.0.0" + value
	}
	if addr, err := netip.ParseAddr(strings.Trim(value, "[]")); err == nil {
		return netip.AddrPortFrom(addr, 5060).String(), nil
	}
	bind, err := netip.ParseAddrPort(strings.Replace(value, "localhost:", "127.0.0.1:", 1))
	if err != nil {
		return "", errors.New("is not an IP address with a port")
	}
	return bind.String(), nil
}

// readLoopback accepts an address with a port that only this host can reach.
func readLoopback(_ variable, value string) (string, error) {
	at, err := netip.ParseAddrPort(strings.Replace(value, "localhost:", "127.0.0.1:", 1))
	switch {
	case err != nil:
		return "", errors.New("is not an IP address with a port")
	case !at.Addr().IsLoopback():
		return "", errors.New("can be reached from other hosts, which must not see profiles")
	}
	return at.String(), nil
}

func readIP(_ variable, value string) (string, error) {
	if strings.EqualFold(value, "localhost") {
		return "127.0.0.1", nil
	}
	addr, err := netip.ParseAddr(strings.Trim(value, "[]"))
	if err != nil {
		return "", errors.New("is not an IP address")
	}
	return addr.Unmap().String(), nil
}

func readPort(_ variable, value string) (string, error) {
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil {
		return "", errors.New("is not a port number")
	}
	return strconv.FormatUint(n, 10), nil
}

func readPorts(_ variable, value string) (string, error) {
	var r PortRange
	if err := r.UnmarshalText([]byte(value)); err != nil {
		return "", err
	}
	return r.String(), nil
}

func readInt(v variable, value string) (string, error) {
	n, err := strconv.Atoi(value)
	if err != nil {
		return "", errors.New("is not a whole number")
	}
	low, errLow := strconv.Atoi(v.min)
	high, errHigh := strconv.Atoi(v.max)
	if errLow != nil || errHigh != nil || n < low || n > high {
		return "", errors.New("is out of range")
	}
	return strconv.Itoa(n), nil
}

func readBool(_ variable, value string) (string, error) {
	switch strings.ToLower(value) {
	case "yes", "true", "on", "1", "y", "t":
		return "true", nil
	case "no", "false", "off", "0", "n", "f":
		return "false", nil
	}
	return "", errors.New("is neither yes nor no")
}

func readEnum(v variable, value string) (string, error) {
	for _, choice := range v.oneof {
		if strings.EqualFold(choice, value) {
			return choice, nil
		}
	}
	return "", errors.New("is not one of the choices")
}

func readDuration(v variable, value string) (string, error) {
	d, err := parseDuration(value)
	if err != nil {
		return "", err
	}
	low, errLow := parseDuration(v.min)
	high, errHigh := parseDuration(v.max)
	if errLow != nil || errHigh != nil || d < low || d > high {
		return "", errors.New("is out of range")
	}
	return d.String(), nil
}

// parseDuration reads Go's durations and plain seconds.
func parseDuration(value string) (time.Duration, error) {
	value = strings.ReplaceAll(strings.ToLower(value), " ", "")
	if _, err := strconv.ParseFloat(value, 64); err == nil {
		value += "s"
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		return 0, errors.New("is not a duration")
	}
	return d, nil
}

func readCountry(_ variable, value string) (string, error) {
	upper := strings.ToUpper(value)
	if len(upper) != 2 || upper[0] < 'A' || upper[0] > 'Z' || upper[1] < 'A' || upper[1] > 'Z' {
		return "", errors.New("is not the two-letter code of a country")
	}
	return upper, nil
}

// readRealms accepts what may stand between the quotes of a digest header.
func readRealms(v variable, value string) (string, error) {
	list, err := readList(v, value)
	if err != nil {
		return "", err
	}
	return readText(v, list)
}

// readNetworks accepts addresses and prefixes, and returns prefixes.
func readNetworks(v variable, value string) (string, error) {
	list, err := readList(v, value)
	if err != nil || list == "" {
		return "", err
	}
	var all []string
	for entry := range strings.SplitSeq(list, ",") {
		p, err := netip.ParsePrefix(entry)
		if addr, lone := netip.ParseAddr(strings.Trim(entry, "[]")); lone == nil {
			addr = addr.Unmap().WithZone("")
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil:
			return "", fmt.Errorf("names %s, which is neither an IP address nor a network", quote(entry))
		case p.Bits() == 0:
			return "", fmt.Errorf("names %s, which would let everybody in", quote(entry))
		}
		all = append(all, p.Masked().String())
	}
	return strings.Join(all, ","), nil
}

// readList returns the entries separated by single commas.
func readList(_ variable, value string) (string, error) {
	var list []string
	for entry := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' || r == ';' }) {
		if entry = strings.TrimSpace(entry); entry != "" {
			list = append(list, entry)
		}
	}
	return strings.Join(list, ","), nil
}

func checkPEM(text string) error {
	rest := []byte(text)
	found := 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("holds a %s, not only certificates", strings.ToLower(block.Type))
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return errors.New("holds a certificate that cannot be read")
		}
		found++
	}
	if found == 0 {
		return errors.New("holds no certificate")
	}
	return nil
}
