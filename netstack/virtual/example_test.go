package virtual_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"appliance/netstack/virtual"
)

// Two programs and a timer, over four minutes that take no time.
func Example() {
	clock := virtual.New(time.Time{})
	clock.AfterFunc(4*time.Minute, func() { fmt.Println(clock.Elapsed(), "the timer fires") })
	for _, name := range []string{"one", "two"} {
		clock.Go(func() {
			fmt.Println(clock.Elapsed(), name, "begins")
			if err := clock.Sleep(context.Background(), time.Minute); err != nil {
				log.Fatal(err)
			}
			fmt.Println(clock.Elapsed(), name, "has slept")
		})
	}
	if err := clock.Run(context.Background(), nil); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 0s one begins
	// 0s two begins
	// 1m0s one has slept
	// 1m0s two has slept
	// 4m0s the timer fires
}
