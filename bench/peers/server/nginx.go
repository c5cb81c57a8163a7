// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/waitress-go/waitress/bench/internal/app"
)

// nginxConfig takes the user line, the workers, the descriptors (twice), the folder, the address, the answer and the files.
const nginxConfig = `%s
worker_processes %d;
worker_rlimit_nofile %d;
error_log stderr error;
pid nginx.pid;
events { worker_connections %d; }
http {
	access_log off;
	sendfile on;
	default_type text/plain;
	keepalive_requests 1000000000;
	keepalive_timeout 3600;
	client_body_temp_path %[5]s;
	proxy_temp_path %[5]s;
	fastcgi_temp_path %[5]s;
	uwsgi_temp_path %[5]s;
	scgi_temp_path %[5]s;
	server {
		listen %[6]s backlog=4096;
		location = / { return 200 "%[7]s"; }
		location /file/ { alias %[8]s/; }
	}
}
`

func nginxEngine(o *app.Options, ready func(net.Addr)) error {
	if err := o.Plain(); err != nil {
		return err
	}
	program, err := exec.LookPath("nginx")
	if err != nil {
		return err
	}
	addr, err := app.FreePort(o.Addr)
	if err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	files, err := filepath.Abs(o.Files)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-nginx-")
	if err != nil {
		return err
	}
	clean := func() { _ = os.RemoveAll(dir) }
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // another one might not be allowed into the folders
	}
	config := fmt.Sprintf(nginxConfig, user, o.Procs, limit.Cur, limit.Cur, dir, addr, app.Hello, files)
	name := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(name, []byte(config), 0o600); err != nil {
		clean()
		return err
	}
	return supervise(o, exec.CommandContext(context.Background(), program, "-p", dir, "-e", "stderr", "-c", name, "-g", "daemon off;"), addr, ready, clean)
}
