// SPDX-License-Identifier: MIT

package compat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The procedures of newKitchen.
const (
	cook  = "/restaurant.v1.Kitchen/Cook"
	serve = "/restaurant.v1.Kitchen/Serve"
	order = "/restaurant.v1.Kitchen/Order"
)

type (
	text  = wrapperspb.StringValue
	count = wrapperspb.Int64Value
)

// newKitchen is a Connect service with well-known messages instead of generated ones: a plain call, a stream of answers and
// a stream of requests.
func newKitchen(*testing.T) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(cook, connect.NewUnaryHandler(cook, func(_ context.Context, r *connect.Request[text]) (*connect.Response[text], error) {
		if r.Msg.GetValue() == "" {
			err := connect.NewError(connect.CodeInvalidArgument, errors.New("nothing was ordered"))
			err.Meta().Set("Table", r.Header().Get("Table"))
			return nil, err
		}
		resp := connect.NewResponse(wrapperspb.String(strings.ToUpper(r.Msg.GetValue())))
		resp.Header().Set("Table", r.Header().Get("Table"))
		resp.Trailer().Set("Tip", "expected")
		return resp, nil
	}))
	mux.Handle(serve, connect.NewServerStreamHandler(serve,
		func(_ context.Context, r *connect.Request[count], s *connect.ServerStream[text]) error {
			for i := range r.Msg.GetValue() {
				if err := s.Send(wrapperspb.String(fmt.Sprint(i, longText[:i]))); err != nil {
					return err
				}
			}
			s.ResponseTrailer().Set("Tip", "expected")
			return nil
		}))
	mux.Handle(order, connect.NewClientStreamHandler(order,
		func(_ context.Context, s *connect.ClientStream[text]) (*connect.Response[count], error) {
			var n int64
			for s.Receive() {
				n += int64(len(s.Msg().GetValue()))
			}
			return connect.NewResponse(wrapperspb.Int64(n)), s.Err()
		}))
	return mux
}

// TestConnect calls a Connect service over HTTP/1.1, in each of the protocols and encodings that a client may choose.
func TestConnect(t *testing.T) {
	for _, protocol := range []struct {
		name    string
		options []connect.ClientOption
	}{
		{"connect", nil},
		{"connect, JSON", []connect.ClientOption{connect.WithProtoJSON()}},
		{"connect, GET", []connect.ClientOption{connect.WithHTTPGet()}},
		{"connect, compressed", []connect.ClientOption{connect.WithSendGzip()}},
		{"gRPC-Web", []connect.ClientOption{connect.WithGRPCWeb()}},
		{"gRPC", []connect.ClientOption{connect.WithGRPC()}},
	} {
		t.Run(protocol.name, func(t *testing.T) {
			var expected string
			each(t, newKitchen, func(t *testing.T, s *started) {
				got := callKitchen(t, s, protocol.options)
				if expected == "" {
					expected = got
				}
				if got != expected {
					t.Errorf("got:\n%s%s:\n%s", got, reference, expected)
				}
			})
		})
	}
}

// callKitchen calls each procedure and tells what came back.
func callKitchen(t *testing.T, s *started, options []connect.ClientOption) string {
	t.Helper()
	var b strings.Builder
	unary := connect.NewClient[text, text](s.client, s.url+cook, options...)
	for _, dish := range []string{"soup", longText, ""} {
		r := connect.NewRequest(wrapperspb.String(dish))
		r.Header().Set("Table", "7")
		resp, err := unary.CallUnary(t.Context(), r)
		var refused *connect.Error
		switch {
		case errors.As(err, &refused):
			fmt.Fprintln(&b, "unary:", refused, refused.Meta()["Table"])
			continue
		case err != nil:
			t.Fatal(err)
		case resp.Msg.GetValue() != strings.ToUpper(dish):
			t.Errorf("unary: %d bytes, want %d", len(resp.Msg.GetValue()), len(dish))
		}
		fmt.Fprintln(&b, "unary:", len(resp.Msg.GetValue()), resp.Header()["Table"], resp.Trailer()["Tip"])
	}
	const answers = 100
	down, err := connect.NewClient[count, text](s.client, s.url+serve, options...).
		CallServerStream(t.Context(), connect.NewRequest(wrapperspb.Int64(answers)))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; down.Receive(); n++ {
		if want := fmt.Sprint(n, longText[:n]); down.Msg().GetValue() != want {
			t.Errorf("answer %d: %q", n, down.Msg().GetValue())
		}
	}
	if n != answers || down.Err() != nil {
		t.Errorf("%d answers, %v", n, down.Err())
	}
	fmt.Fprintln(&b, "server stream:", n, down.ResponseTrailer()["Tip"], down.Close())

	up := connect.NewClient[text, count](s.client, s.url+order, options...).CallClientStream(t.Context())
	for i := range answers {
		if err := up.Send(wrapperspb.String(longText[:i])); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	resp, err := up.CloseAndReceive()
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(answers * (answers - 1) / 2); resp.Msg.GetValue() != want {
		t.Errorf("client stream: %d, want %d", resp.Msg.GetValue(), want)
	}
	fmt.Fprintln(&b, "client stream:", resp.Msg.GetValue())
	return b.String()
}
