// SPDX-License-Identifier: MIT

package waitress

import "syscall"

// sysAccept marks the new descriptor by calls of its own, and no process may be started before it is.
func sysAccept(fd int) (int, syscall.Sockaddr, error) {
	syscall.ForkLock.RLock()
	conn, sa, err := syscall.Accept(fd)
	if err == nil {
		syscall.CloseOnExec(conn)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, nil, err
	}
	if err := syscall.SetNonblock(conn, true); err != nil {
		syscall.Close(conn)
		return -1, nil, err
	}
	return conn, sa, nil
}
