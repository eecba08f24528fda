//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tick is the period of the load's sweep: each of the 20 ticks of a packet time serves a twentieth of the calls.
const tick int64 = 1e6

// stampSpace holds the control message with the kernel's receive time.
const stampSpace = 64

// mono reads the monotonic clock, in nanoseconds.
func mono() int64 { return readClock(unix.CLOCK_MONOTONIC) }

// readClock reads a clock in nanoseconds; 0 when there is no such clock.
func readClock(id int32) int64 {
	var ts unix.Timespec
	if unix.ClockGettime(id, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

// processClock is the CPU clock of a process, as clock_getcpuclockid(3) makes it: scheduler time of all threads.
func processClock(pid int) int32 {
	const scheduler = 2
	return int32(^pid<<3 | scheduler)
}

// sleepUntil sleeps to an absolute time of the monotonic clock and returns the time of the wake-up.
// It keeps the goroutine's thread, so that no scheduler but the kernel's has a say in the wake-up.
func sleepUntil(at int64) int64 {
	ts := unix.NsecToTimespec(at)
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
		if errno != unix.EINTR {
			return mono()
		}
	}
}

// ownThread gives the goroutine a thread of its own with the finest timers, on the given core (negative: any).
func ownThread(core int) error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set timer slack: %w", err)
	}
	return pinThread(0, core)
}

// pinThread binds a thread (0: the calling one) to a core; a negative core means no change.
func pinThread(tid, core int) error {
	if core < 0 {
		return nil
	}
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(tid, &set); err != nil {
		return fmt.Errorf("pin to core %d: %w", core, err)
	}
	return nil
}

// pinProcess binds all threads of this process to a core. Threads to come inherit it.
func pinProcess(core int) error {
	if core < 0 {
		return nil
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list threads: %w", err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			continue
		}
		if err := pinThread(tid, core); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// cores returns the cores this process may use.
func cores() []int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	var list []int
	for i := range 1024 {
		if set.IsSet(i) {
			list = append(list, i)
		}
	}
	return list
}

// send writes one datagram or one piece of a stream without waiting.
func send(fd int, p []byte) error {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return errno
	}
	if int(n) != len(p) {
		return fmt.Errorf("only %d of %d bytes fit into the socket", n, len(p))
	}
	return nil
}

// receive reads without waiting.
func receive(fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// stampedReader reads with the kernel's receive times (SO_TIMESTAMPNS). It must live on the heap.
type stampedReader struct {
	msg unix.Msghdr
	iov unix.Iovec
	ctl [stampSpace]byte
}

// read reads without waiting. The time is that of the clock of time.Now, in nanoseconds; 0 when there was no stamp.
func (r *stampedReader) read(fd int, p []byte) (n int, at int64, err error) {
	r.iov.Base = unsafe.SliceData(p)
	r.iov.SetLen(len(p))
	r.msg = unix.Msghdr{Iov: &r.iov, Control: &r.ctl[0]}
	r.msg.SetIovlen(1)
	r.msg.SetControllen(len(r.ctl))
	got, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.msg)), unix.MSG_DONTWAIT)
	if errno != 0 {
		return 0, 0, errno
	}
	header := (*unix.Cmsghdr)(unsafe.Pointer(&r.ctl[0]))
	if int(r.msg.Controllen) >= unix.CmsgLen(0) && header.Level == unix.SOL_SOCKET && header.Type == unix.SO_TIMESTAMPNS {
		at = (*unix.Timespec)(unsafe.Pointer(&r.ctl[unix.CmsgLen(0)])).Nano()
	}
	return int(got), at, nil
}

// openUDP binds a datagram socket on loopback, for stamped reading, and returns its port.
func openUDP() (fd int, port uint16, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, 0, fmt.Errorf("open a UDP socket: %w", err)
	}
	err = unix.Bind(fd, loopback(0))
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}
	if err == nil {
		port, err = boundPort(fd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, 0, fmt.Errorf("bind a UDP socket: %w", err)
	}
	return fd, port, nil
}

// dialTCP connects to a port on loopback; the socket waits in the handshake and is made non-blocking later.
func dialTCP(port uint16) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open a TCP socket: %w", err)
	}
	limit := unix.Timeval{Sec: int64(setupWait.Seconds())}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit),
	)
	if err == nil {
		err = unix.Connect(fd, loopback(port))
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("connect to port %d: %w", port, err)
	}
	return fd, nil
}

func loopback(port uint16) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}}
}

func boundPort(fd int) (uint16, error) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("ask for the port: %w", err)
	}
	in, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return 0, errors.New("the socket has no IPv4 address")
	}
	return uint16(in.Port), nil
}
