// client.go - Apache's Go client, told what to do by its arguments:
//
//	client NAMESERVER send TOPIC COUNT       sync 0, async 0, oneway 0, sync 1, ...: tag TagA or TagB by turns
//	client NAMESERVER consume GROUP TOPIC EXPRESSION COUNT     until so many have come
//	client NAMESERVER pull GROUP TOPIC COUNT                   the same, by its pull consumer
//
// Each message that was answered by SEND_OK, or that has come, is a line of standard output.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

const patience = 100 * time.Second

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	must(err)
	return n
}

func message(topic, how string, i int) *primitive.Message {
	m := primitive.NewMessage(topic, []byte(fmt.Sprintf("%s %d", how, i)))
	m.WithTag([]string{"TagA", "TagB"}[i%2]).WithKeys([]string{how})
	return m
}

func send(servers primitive.NamesrvAddr, topic string, count int) {
	var answers sync.WaitGroup
	p, err := rocketmq.NewProducer(producer.WithNameServer(servers), producer.WithRetry(3), producer.WithGroupName("of_go"))

	must(err)
	must(p.Start())
	for i := 0; i < count; i++ {
		result, err := p.SendSync(context.Background(), message(topic, "sync", i))
		must(err)
		if result.Status == primitive.SendOK {
			fmt.Printf("sync %d\n", i)
		}
		number := i
		answers.Add(1)
		must(p.SendAsync(context.Background(), func(_ context.Context, result *primitive.SendResult, err error) {
			must(err)
			if result.Status == primitive.SendOK {
				fmt.Printf("async %d\n", number)
			}
			answers.Done()
		}, message(topic, "async", i)))
		must(p.SendOneWay(context.Background(), message(topic, "oneway", i)))
	}
	answers.Wait()
	must(p.Shutdown())
}

func consume(servers primitive.NamesrvAddr, group, topic, expression string, count int) {
	come := make(chan string, count)
	c, err := rocketmq.NewPushConsumer(consumer.WithNameServer(servers), consumer.WithGroupName(group),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))

	must(err)
	must(c.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: expression},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, m := range messages {
				come <- string(m.Body)
			}
			return consumer.ConsumeSuccess, nil
		}))
	must(c.Start())
	for i := 0; i < count; i++ {
		select {
		case body := <-come:
			fmt.Println(body)
		case <-time.After(patience):
			must(fmt.Errorf("%d of %d messages have come", i, count))
		}
	}
	must(c.Shutdown())
}

func pull(servers primitive.NamesrvAddr, group, topic string, count int) {
	c, err := rocketmq.NewPullConsumer(consumer.WithNameServer(servers), consumer.WithGroupName(group),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	end := time.Now().Add(patience)

	must(err)
	must(c.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}))
	must(c.Start())
	for got := 0; got < count && time.Now().Before(end); {
		result, err := c.Poll(context.Background(), time.Second)
		if consumer.IsNoNewMsgError(err) {
			continue
		}
		must(err)
		for _, m := range result.GetMsgList() {
			fmt.Println(string(m.Body))
			got++
		}
		c.ACK(context.Background(), result, consumer.ConsumeSuccess)
	}
	must(c.Shutdown())
}

func main() {
	servers, err := primitive.NewNamesrvAddr(os.Args[1])
	must(err)
	rlog.SetLogLevel("error")
	switch arg := os.Args[2:]; arg[0] {
	case "send":
		send(servers, arg[1], number(arg[2]))
	case "consume":
		consume(servers, arg[1], arg[2], arg[3], number(arg[4]))
	case "pull":
		pull(servers, arg[1], arg[2], number(arg[3]))
	default:
		must(fmt.Errorf("%s: no such command", arg[0]))
	}
}
