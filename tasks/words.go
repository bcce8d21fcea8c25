package tasks

import (
	"math/rand/v2"
	"strings"
)

// everyday are words of 3 to 8 letters.
var everyday = strings.Fields(`
act air ant arm art bag bat bed bee box boy bus cap car cat cow cup day dog ear egg eye fan fig fox fun gem hat hen ice ink jam key
leg lip map mud net nut oak oil owl pan pen pie pig pot rat red rug sea sky sun tea toe top toy van web zoo
baby ball bank barn bear bell bird boat book boot cake cave city coat corn deer desk door duck farm fire fish flag frog game gate
gift goat gold hair hand hill home horn idea jump kite lake lamp leaf lion lock milk moon moss nail nest nose page park pear pond
rain ring road rock roof room rope rose sail salt sand seed ship shoe snow soap sock soup star stem tent tree wind wing wolf wood
apple beach berry bread brick brush cabin candy chair chalk cheek cheese clock cloud coach coral cream crown dance dream drink eagle
earth field floor flour fruit ghost glass grape grass green heart honey horse house juice knife lemon light lunch mango melon metal
money month mouse music night ocean olive onion paint paper peach piano plane plant plate queen radio river robin salad scarf sheep
shell shirt skirt smile snake spoon stone storm story sugar sweet table tiger toast tooth tower train truck uncle water whale wheat
wheel world
animal autumn badger banana basket bottle branch bridge bucket butter button camera candle carpet carrot castle cherry circle coffee
cookie copper cotton dinner doctor dragon engine family farmer father feather finger flower forest garden ginger guitar hammer harbor
insect island jacket jungle kettle kitten ladder lesson letter lizard market meadow mirror monkey mother needle number orange parrot
pencil pepper pillow planet pocket potato puzzle rabbit ribbon rocket saddle school shadow silver sister spider spring square stream
street summer sunset ticket tomato tunnel turtle valley violin walnut willow window winter wonder yellow
balloon blanket brother cabbage captain chicken chimney compass curtain dolphin evening flannel giraffe glasses gorilla hamster
holiday journey kitchen lantern leopard library machine morning mustard octopus package peanuts penguin picture pumpkin pyramid rainbow
sandals science seaside sparrow station stomach student teacher thunder tractor trumpet village volcano weather whistle
airplane airport backpack baseball birthday blossoms broccoli building butterfly calendar campfire cinnamon computer crackers cucumber
daughter dinosaur doorbell elephant envelope exercise football fountain hedgehog hospital keyboard kangaroo ladybird lavender lemonade
magazine mountain mushroom necklace notebook painting pancakes pavement postcard raincoat reindeer sandwich scissors seashell shoulder
snowball squirrel sunlight swimming triangle umbrella vacation vineyard waterfall whenever wildlife`)

// drawWord draws a word of at most n letters, most of them with n: an everyday one, or one that is made up.
func drawWord(rng *rand.Rand, n int) string {
	if chance(rng, 4) && n > 3 {
		n = between(rng, 3, n)
	}
	if n <= 8 && !chance(rng, 3) {
		var words []string
		for _, word := range everyday {
			if len(word) == n {
				words = append(words, word)
			}
		}
		return pick(rng, words...)
	}
	var word []byte
	for i := rng.IntN(2); len(word) < n; i++ {
		if i%2 == 0 {
			word = append(word, pick(rng, []byte("bcdfghjklmnprstvwz")...))
		} else {
			word = append(word, pick(rng, []byte("aaeeiioou")...))
		}
	}
	return string(word)
}
