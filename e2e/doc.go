// Package e2e runs the built binary against real peers: a kamailio as provider, a baresip as the phone that answers,
// sipp for callees that behave badly, and a Docker engine for the container. Everything stays on loopback or in
// networks that the tests made themselves. A test whose peer is not installed is skipped and says so; where CI is set
// it fails instead.
package e2e
