"""The preset dictionary of texts on the air: what people write in an emergency, in five languages. PROTOCOL 15.3.

This is wire format: not one byte of it may ever change. A better one gets a new number beside this one, and the form
byte of a message says which was used. The words are our own; in Latin-1, what is most likely comes last, because
deflate reaches the end of a dictionary with fewer bits.
"""

# Haitian Creole, German, French, Spanish, English; figures and what is common to all at the end
_V1 = (
    "sekou prese blese mouri anba dekonb kay kraze siklòn tranblemanntè inondasyon dlo pwòp pou bwè manje tant dra"
    " lajan medikaman doktè lopital sante maladi kolera lafyèv timoun piti granmoun fanm ansent fanmi moun malad"
    " vilaj katye wout la bloke bò lekòl legliz mache lapolis telefòn kouran jodi a demen maten aprèmidi aswè"
    " kounye a depi jou semèn anvan apre lannwit nou pa gen anyen ki te ak yo nan zòn sou li fè tout pral ap rive"
    " vini tanpri ede nou bezwen èd voye mesaj ban nou nou gen nou nan "
    "Achtung Gefahr Hochwasser Überschwemmung Unwetter Sturm Feuer Rauch Stromausfall Gemeinde Feuerwehr Polizei"
    " Arzt Krankenhaus Verletzte vermisst Kinder alte Menschen Personen Turnhalle Schule Rathaus Kirche Brücke"
    " Straße gesperrt Keller Wasser abkochen Trinkwasser Lebensmittel Decken Medikamente heute Abend morgen früh"
    " Mittag Uhr bis nach noch keine nicht mehr zwischen werden haben sind wieder über für ist der die das und mit"
    " von auf im am zum wir brauchen dringend Hilfe bitte melden bei Bitte "
    "attention danger inondation tempête incendie fumée électricité coupure secours pompiers médecin hôpital"
    " pharmacie blessés disparu enfants personnes âgées malades femme enceinte école mairie église village quartier"
    " maison route coupée fermée pont rivière eau potable nourriture couvertures médicaments essence demain matin"
    " aujourd'hui ce soir nuit heures jusqu'à depuis avant après pour dans avec sans vers nous avons besoin de"
    " l'eau est pas sont vous les des une du la le à la s'il vous plaît besoin d'aide "
    "atención peligro inundación tormenta incendio humo terremoto evacuar refugio bomberos policía médico hospital"
    " heridos desaparecido niños ancianos enfermos familias personas atrapadas escuela iglesia plaza pueblo barrio"
    " casa carretera cortada puente río agua potable comida mantas medicinas gasolina luz mañana por la tarde hoy"
    " esta noche horas hasta desde antes después para con sin hay que está están tenemos no se puede pasar en el"
    " los las de la una del al necesitamos ayuda urgente por favor "
    "WARNING emergency earthquake flooding storm wind fire smoke gas leak evacuate shelter rescue ambulance fire"
    " brigade police doctor nurse clinic hospital injured missing trapped children elderly family neighbours people"
    " safe school church library village hall town street north south east west side near river bridge closed road"
    " blocked open generator battery fuel radio phone power is out drinking water boil water food blankets medicine"
    " insulin oxygen this morning afternoon evening tonight tomorrow today Monday Tuesday Wednesday Thursday Friday"
    " Saturday Sunday hours until since before after from with have has been will there are is not can you we that"
    " and for the of to in at the on the please send help urgent Please call bring We need We are No Do not "
    "+ 1234567890 10:00 12:00 18:30 20 km kg 100 m l 24 h 2026 OK? !\n"
)

V1 = bytes(ord(letter) for letter in _V1)
