module github.com/waitress-go/waitress/interop

go 1.26.0

require github.com/waitress-go/waitress v0.0.0

require (
	github.com/coder/websocket v1.8.14
	github.com/panjf2000/gnet/v2 v2.10.0 // indirect
	github.com/pires/go-proxyproto v0.8.1 // indirect
	go.uber.org/multierr v1.11.0 // indirect
	go.uber.org/zap v1.28.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/waitress-go/waitress => ../
