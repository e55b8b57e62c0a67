package stream

// queue is a first-in first-out of accepted requests.
type queue struct {
	list []*inbound
	head int
}

func (q *queue) len() int { return len(q.list) - q.head }

func (q *queue) push(in *inbound) { q.list = append(q.list, in) }

func (q *queue) pop() *inbound {
	if q.head == len(q.list) {
		return nil
	}
	in := q.list[q.head]
	q.list[q.head] = nil
	q.head++
	switch {
	case q.head == len(q.list):
		*q = queue{}
	case q.head >= 64 && q.head >= len(q.list)/2:
		q.list = append(q.list[:0], q.list[q.head:]...)
		q.head = 0
	}
	return in
}
