// SPDX-License-Identifier: MIT

package httpparse

import "bytes"

// target = request-target SP
//
// Origin-form, the usual one, is checked as it is read. Of the other forms only the octets are; what they mean is
// left to targetForm, when the line is complete.
func (h *Head) target(buf []byte) error {
	start, i := int(h.Target.Start), int(h.cursor.next)
	if i == len(buf) {
		return ErrPartial
	}
	origin := buf[start] == '/'
	legal := isTarget
	if origin {
		legal = isPath
		if h.Query > 0 {
			legal = isQuery
		}
	}
	for {
		i = run(buf, i, legal)
		h.cursor.next = uint32(i)
		if i == len(buf) {
			return ErrPartial
		}
		switch c := buf[i]; {
		case c == ' ' && i > start:
			h.targetEnd(uint32(i), origin)
			return nil
		case c == '?' && origin:
			h.Query = uint32(i)
			legal = isQuery
		case c == '%' && origin && h.Query == 0:
			if err := percent(buf[i:]); err != nil {
				return err
			}
			h.Plain = false
		case c == '\r' || c == '\n':
			return errNoVersion
		default:
			return errTarget
		}
		i++
	}
}

// run returns where the octets of one class that are at i end.
func run(buf []byte, i int, one uint8) int {
	for len(buf)-i >= 4 {
		p := buf[i : i+4 : i+4]
		if class[p[0]]&class[p[1]]&class[p[2]]&class[p[3]]&one == 0 {
			break
		}
		i += 4
	}
	for i < len(buf) && class[buf[i]]&one != 0 {
		i++
	}
	return i
}

func (h *Head) targetEnd(end uint32, origin bool) {
	h.Target.End = end
	if h.Query == 0 {
		h.Query = end
	}
	h.Plain = h.Plain && origin
	h.cursor.next = end + 1
	h.stage = stageVersion
}

// percent = "%" HEXDIG HEXDIG
func percent(b []byte) error {
	for _, c := range b[1:min(len(b), 3)] {
		if hexDigit[c] == notHex {
			return errPercent
		}
	}
	if len(b) < 3 {
		return ErrPartial
	}
	return nil
}

// targetForm = origin-form / absolute-form / authority-form / asterisk-form
//
// The method decides: authority-form belongs to CONNECT, and CONNECT to it; asterisk-form to OPTIONS.
func (h *Head) targetForm(buf []byte) error {
	method, target := h.Method.Of(buf), h.Target.Of(buf)
	switch {
	case string(method) == "CONNECT":
		h.Form, h.Authority, h.Close = AuthorityForm, h.Target, true
		if hasPort, ok := hostPort(target); !ok || !hasPort {
			return errConnect
		}
	case target[0] == '/':
		h.Form = OriginForm
	case target[0] == '*':
		h.Form = AsteriskForm
		if len(target) > 1 || string(method) != "OPTIONS" {
			return errAsterisk
		}
	default:
		h.Form = AbsoluteForm
		return h.absoluteForm(target)
	}
	return nil
}

// absoluteForm = ( "http" / "https" ) "://" host [ ":" port ] path-abempty [ "?" query ]
//
// Userinfo in the authority is refused, as RFC 9110 §4.2.4 recommends.
func (h *Head) absoluteForm(target []byte) error {
	scheme := bytes.Index(target, []byte("://"))
	if scheme <= 0 {
		return errForm
	}
	if !equalFold(target[:scheme], "http") && !equalFold(target[:scheme], "https") {
		return errScheme
	}
	start := scheme + len("://")
	end := start
	for end < len(target) && target[end] != '/' && target[end] != '?' {
		end++
	}
	if _, ok := hostPort(target[start:end]); !ok {
		return errAuthority
	}
	h.Authority = Span{h.Target.Start + uint32(start), h.Target.Start + uint32(end)}
	for i := end; i < len(target); i++ {
		switch c := target[i]; {
		case class[c]&isPath != 0 || c == '?':
		case c != '%':
			return errTarget // a bracket
		case percent(target[i:]) != nil:
			return errPercent
		}
	}
	return nil
}
