package stream

import "time"

// PackedEnd is an [End] in 56 bytes, for those who keep many. The zero value is that of the
// zero End.
type PackedEnd struct {
	begun moment
	sent  *mark
	tag   uint64

	duration, waited, answered uint32 // nanoseconds
	request, response          uint32
	queued, handled            uint16 // by the peer, as in remote
	typ                        uint16
	channel, flags             uint8

	// Note belongs to whoever keeps it.
	Note uint32
}

// Pack writes an End, as far as it fits: without a label, with numbers of type, channel and
// flags below 65,536, 256 and 256, times up to 4 s of this side and 65 ms of the peer, and
// sizes below 4 GiB. Else it leaves p as it is, and returns false.
func (e *End) Pack(p *PackedEnd) bool {
	const bits32 = 1<<32 - 1
	if uint64(e.Duration|e.Waited|e.Answered)|uint64(e.RequestSize|e.ResponseSize) > bits32 ||
		e.Channel|e.Flags > 1<<8-1 || e.Type > 1<<16-1 || e.remote.queued|e.remote.handled > 1<<16-1 || e.Label != "" {
		return false
	}
	p.begun, p.sent, p.tag = e.begun, e.sent, e.Tag
	p.duration, p.waited, p.answered = uint32(e.Duration), uint32(e.Waited), uint32(e.Answered)
	p.request, p.response = uint32(e.RequestSize), uint32(e.ResponseSize)
	p.queued, p.handled = uint16(e.remote.queued), uint16(e.remote.handled)
	p.typ, p.channel, p.flags = uint16(e.Type), uint8(e.Channel), uint8(e.Flags)
	return true
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
