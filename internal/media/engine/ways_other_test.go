//go:build !linux

package engine

import "errors"

// Without a poller there are no ways to compare.
const loadEnv = "PHONESOCKET_ENGINE_LOAD"

func beLoad(int) error { return errors.ErrUnsupported }
