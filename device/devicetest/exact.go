package devicetest

import "sprat/device"

// exact are the checks that are no operation's: values known beforehand, and rules between operations.
var exact = []struct {
	name  string
	check func(device.Device) error
}{}
