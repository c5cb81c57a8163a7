// SPDX-License-Identifier: MIT

//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package waitress

import "golang.org/x/sys/unix"

// The sys_ files are the seam between the server and one Unix kernel: what poller_bsd*.go and the reactor's calls in
// socket_unix.go ask of it goes through the functions below, and nothing else in them knows the system. To run these over
// another kernel than the process's own, or over one that runs inside of the process, provide the functions, make the tests'
// connections in sys_pair_test.go, and run TestKqueue and TestPoller.
//
// An Errno of 0 is success; the others have the numbers of the system that the program is built for. No call waits, but
// sysKevent where it is told to. Any of them may be interrupted: EINTR means that it may be made again, but for sysClose,
// which has closed.
//
// Every connection (socket_unix.go, poller_bsd_wake.go):
//
//	sysRead(fd, p) (n, errno)    what is there, at most len(p) > 0 bytes; 0 bytes: the end of the stream; EAGAIN: nothing is there
//	sysPeek(fd) (n, errno)       what a sysRead of one byte would say; it stays there
//	sysWrite(fd, p) (n, errno)   as much as there is room for; EAGAIN: none. It raises no SIGPIPE
//	sysSendfile(fd, file, offset, n) (k, errno)
//	                             sends n > 0 bytes of a file from offset on, or as many as there is room for; 0 bytes: the file ends
//	                             there; ENOSYS, ENOTSUP or EINVAL: not such a file, or not here. k counts with an errno too
//	sysShutdown(fd, how) errno   ends one direction (unix.SHUT_WR) or both (unix.SHUT_RDWR)
//	sysClose(fd) errno           closes; the filters that a kqueue had for fd are gone when it returns
//
// The kqueue poller (poller_bsd.go), besides:
//
//	sysPipe() (read, write, err)           two ends for sysRead and sysWrite, non-blocking and closed on exec
//	sysKqueue() (kq, err)                  a new kqueue, closed on exec; sysClose closes it
//	kevent                                 the struct, of whatever layout: set(fd, filter, flags) makes a change;
//	                                       fd(), filter(), flags() and errno() read a report
//	filterRead, filterWrite, keventAdd, keventClear, keventDelete, keventEOF, keventError
//	sysKevent(kq, changes, events, timeout) (n, errno)
//
// sysKevent makes the changes in their order. One that fails ends the call with its errno, or, where events has room, becomes
// an entry with keventError and the errno in it, and the others are made; the call returns then without any reports. After
// EINTR all the changes have been made. Then, where events has room, it returns what is reported, waiting for as long as
// nothing is: not at all with a timeout of 0, without end with a negative one. Of what does not fit nothing is lost. A
// descriptor has a filter for reading and one for writing, each at most once, and a filter reports:
//
//   - with keventClear each time that it becomes true, or may have, and without it for as long as it is;
//   - what is so when it is returned;
//   - with keventEOF when its direction has ended, the unread bytes not counted, and with an errno if a failure was the reason
//     and nobody has been told of that.
//
// A keventDelete of a filter that is not there fails with ENOENT, and one of a descriptor that is not open with EBADF.
//
// The rest is always asked of the process's own kernel. What a connection is bound to (localAddr) and what a handler gets that
// hijacks it (netConn) come from the net package and its like. The listener (listener_unix.go) waits in the Go runtime's poller:
//
//	sysAccept(fd) (conn, addr, err)   the next connection, non-blocking and closed on exec; EAGAIN: there is none
//	acceptInherits                    whether that has the TCP options of the socket that listened

func sysSendfile(fd, file int, offset int64, n int) (int, unix.Errno) {
	k, err := unix.Sendfile(fd, file, &offset, n)
	return k, errnoOf(err)
}
