package stream

import "time"

// PackedEnd is an [End] and whose it is in 64 bytes, one line of the caches of usual
// processors, for those who keep many. The zero value is that of the zero End.
type PackedEnd struct {
	Conn *ConnInfo

	begun moment
	sent  *mark
	tag   uint64

	duration, waited, answered uint32 // nanoseconds
	request, response          uint32
	queued, handled            uint16 // by the peer, as in remote
	typ                        uint16
	channel, flags             uint8

	Note uint32 // belongs to whoever keeps it
}

// PackEnds writes Ends of a connection's requests, as many as to has room for, with a note,
// and returns how many. It stops before one that does not fit: with a label, a
// number of its type, channel or flags above 65,535, 255 or 255, times above 4 s of this side or
// 65 ms of the peer, or sizes from 4 GiB on.
func PackEnds(to []PackedEnd, conn *ConnInfo, note uint32, ends []End) int {
	n := min(len(to), len(ends))
	for i := range n {
		p, e := &to[i], &ends[i]
		if (uint64(e.Duration|e.Waited|e.Answered)|uint64(e.RequestSize|e.ResponseSize))>>32|
			(e.Channel|e.Flags)>>8|e.Type>>16|uint64(e.remote.queued|e.remote.handled)>>16|uint64(len(e.Label)) != 0 {
			return i
		}
		p.Conn, p.Note = conn, note
		p.begun, p.sent, p.tag = e.begun, e.sent, e.Tag
		p.duration, p.waited, p.answered = uint32(e.Duration), uint32(e.Waited), uint32(e.Answered)
		p.request, p.response = uint32(e.RequestSize), uint32(e.ResponseSize)
		p.queued, p.handled = uint16(e.remote.queued), uint16(e.remote.handled)
		p.typ, p.channel, p.flags = uint16(e.Type), uint8(e.Channel), uint8(e.Flags)
	}
	return n
}

// Unpack returns the End that was written.
func (p *PackedEnd) Unpack() End {
	return End{
		Channel: uint64(p.channel), Tag: p.tag, Type: uint64(p.typ), Flags: uint64(p.flags),
		Duration: time.Duration(p.duration), Waited: time.Duration(p.waited), Answered: time.Duration(p.answered),
		RequestSize: int(p.request), ResponseSize: int(p.response),
		begun: p.begun, sent: p.sent, remote: remote{uint32(p.queued), uint32(p.handled)},
	}
}
